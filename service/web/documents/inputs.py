"""Documents that callers send; for the API's description alone, because their faults are found elsewhere."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from service.web.documents.base import without_default


class ClaimDocument(BaseModel):
    """The claim of a sign-in; `/signin` was posted with base64url(SHA-256(claim)) as its `challenge`."""

    claim: Annotated[
        str,
        Field(
            description="Base64url of 32 random bytes.",
            pattern="^[A-Za-z0-9_-]{43}$",
            examples=["bG9uZ2VyLXRoYW4tYW55Ym9keS1jb3VsZC1ndWVzcyE"],
        ),
    ]


class DesiredIntegration(BaseModel):
    """What should be installed of one integration; short names, each at most once."""

    model_config = ConfigDict(extra="forbid")

    installed: Annotated[list[str], Field(examples=[["escalate_vip_order"]])] = []
    uninstalled: Annotated[list[str], Field(examples=[["copy_public_comment"]])] = []


class DesiredStateDocument(BaseModel):
    """What should be installed in the account, and what should not. What it does not name is left as it is."""

    model_config = ConfigDict(extra="forbid")

    account: Annotated[
        str | SkipJsonSchema[None],
        Field(
            description="May be missing, else it is the caller's.", examples=["acme"], json_schema_extra=without_default
        ),
    ] = None
    integrations: Annotated[
        dict[str, DesiredIntegration],
        Field(
            description="By the integration's name, in which `{subdomain}` may stand; at most 20,000 job specs in all."
        ),
    ]
