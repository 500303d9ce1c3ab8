"""The same unit for other tools: a link that lasts, and how to get its picture with curl, Python, in Markdown
and in a frame."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from api.context import context
from api.web.addresses import Addresses, Parameter
from api.web.pages.units.choosing import Chosen
from api.web.shown import ANY, Shown
from services.base.states import Visibility
from services.catalog.layers import Unit

FRAME_WIDTH, FRAME_HEIGHT = 288, 360


@dataclass(frozen=True)
class Copies:
    """What is to be copied of a unit's page. Addresses begin with the origin: they are used elsewhere."""

    address: Addresses
    origin: str
    what: Shown
    unit: Unit
    chosen: Chosen

    @property
    def shown(self) -> dict[str, Parameter]:
        """The parameters that show the same for good: a version of a public atlas and the facet, or the
        picture itself, which never changes either."""
        what, large = self.what, self.chosen.large
        is_lasting = (
            what.atlas is not None
            and what.version is not None
            and what.version.published_at is not None
            and what.atlas.visibility == Visibility.PUBLIC
        )
        if is_lasting and self.chosen.in_atlas and self.chosen.facet is not None:
            return {"atlas": what.named, "facet": self.chosen.facet}
        return {"atlas": ANY, "picture": None if large is None else large.digest}

    @property
    def link(self) -> str:
        """The address of what the page shows now, for good."""
        unit = self.unit
        beside = None if self.chosen.beside is None else self.chosen.beside.digest
        shown = {**self.shown, "beside": beside}
        return self.origin + self.address.unit(unit.network, unit.layer, unit.unit, **shown)

    @property
    def note(self) -> str | None:
        """What of the page the link does not show."""
        atlas = self.what.atlas
        if atlas is None or self.chosen.large is None or self.shown["atlas"] != ANY:
            return None
        why = "is private" if atlas.visibility != Visibility.PUBLIC else "has more to come in this version"
        return f"The link shows this picture, not the atlas, which {why}."

    @property
    def title(self) -> str:
        """What the unit is called in a text."""
        unit = self.unit
        label = f" ({unit.label})" if unit.label else ""
        return f"Unit {unit.unit}{label} of {unit.layer} in {unit.network}"

    @property
    def ways(self) -> list[tuple[str, str]]:
        """Pairs of a tool and what to give to it."""
        large = self.chosen.large
        link = [("Link", self.link)]
        if large is None:
            return link
        picture = self.origin + self.address.picture(large.digest)
        ways = [*link, ("curl", self._curl(picture)), ("Python", self._python(large.digest))]
        # Others see what is on their pages without a key, and so can a frame only.
        if context().settings.public_read:
            ways += [
                ("Markdown", f"[![{_plain(self.title)}]({picture})]({self.link})"),
                ("Embed", self._frame()),
            ]
        return ways

    def _curl(self, picture: str) -> str:
        key = "" if context().settings.public_read else ' -H "Authorization: Bearer $IMAGO_API_KEY"'
        name = f"{self.unit.layer}-{self.unit.unit}.webp".replace("/", "-")
        return f'curl{key} -o "{name}" "{picture}"'

    def _python(self, digest: str) -> str:
        return (
            "import imago\n\n"
            f'client = imago.Client("{self.origin}")\n'
            f'unit = client.unit("{self.unit.network}/{self.unit.layer}/{self.unit.unit}")\n'
            f'picture = client.visualization("{digest}")\n'
            'picture.save("pictures/")'
        )

    def _frame(self) -> str:
        query = "&" if urlsplit(self.link).query else "?"
        return (
            f'<iframe src="{self.link}{query}embed=true" width="{FRAME_WIDTH}" height="{FRAME_HEIGHT}" '
            f'title="{_plain(self.title)}" loading="lazy"></iframe>'
        )


def _plain(text: str) -> str:
    """Without the signs that mean something in Markdown and in attributes."""
    return "".join(sign for sign in text if sign not in '[]()<>"`\\')
