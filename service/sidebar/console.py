"""The sidebar's page in a window of its own, for whoever has signed in; it holds no data itself."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from service.sidebar.routes import language_of
from service.web.request import services

# Public: the page holds no data; its script asks the API with a session.
blueprint = Blueprint("console", __name__)


@blueprint.get("/console")
def console() -> ResponseReturnValue:
    """Show the page; its script finds the session in the browser, or asks to sign in."""
    collection = services().collection
    language = language_of(collection.now())
    return render_template("console.html", language=language, parts=collection.parts("console", language))
