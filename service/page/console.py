"""The sidebar's page in a window of its own, for whoever has signed in; it holds no data itself."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from service.files.collection import SHEETS, Collection
from service.page.routes import language_of
from service.web import collaborator

# Public: what it shows, the API gives to whoever shows it a session.
blueprint = Blueprint("console", __name__)


@blueprint.get("/console")
def console() -> ResponseReturnValue:
    """Show the page; its script finds the session in the browser, or asks to sign in."""
    collection = collaborator(Collection)
    files = collection.now()
    language = language_of(files)
    if collection.watches:
        # As they were written, for whoever looks at them in the browser.
        *preloaded, script = files.modules["console"]
        return render_template(
            "console.html", language=language, sheets=SHEETS["console"], script=script, preloaded=preloaded
        )
    script = f"console.{language}.bundle.js"
    return render_template("console.html", language=language, sheets=["console.bundle.css"], script=script)
