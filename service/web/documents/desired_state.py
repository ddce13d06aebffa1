"""Plans of desired state, and what became of them."""

from typing import Annotated, Literal

from pydantic import Field

from service.web.documents.base import Document


class PlannedChange(Document):
    """What is to be done about one job spec, and what became of it."""

    integration: Annotated[str, Field(examples=["acme_orders"])]
    name: Annotated[str, Field(description="Short.", examples=["escalate_vip_order"])]
    change: Annotated[
        Literal["install", "uninstall", "rearm", "none", "not_listed", "not_named"],
        Field(
            description="`none`: it is as it should be. `not_listed`: Zendesk lists no such job spec. `not_named`: the "
            "document does not name it, and it is left as it is."
        ),
    ]
    result: Annotated[
        str | None,
        Field(description="null: nothing was tried. `ok`, or the code of the error it ended in.", examples=["ok"]),
    ]
    detail: Annotated[str | None, Field(description="In words for the person.")]


class PlanDocument(Document):
    """Every job spec of the account, sorted by integration and name.

    An integration that the document does not name and that Zendesk does not list now is left out.
    """

    changes: list[PlannedChange]
    left: Annotated[
        int, Field(description="Changes that are still to be made; repeated, the call goes on with them.", ge=0)
    ]
