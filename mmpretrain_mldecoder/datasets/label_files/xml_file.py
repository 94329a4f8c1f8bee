"""Reading of XML files that cannot grow or refer to other files."""

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser


class _WithoutDoctype(TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse the declaration, which may define entities that fill the memory."""
        raise ValueError('it has a DOCTYPE, which label files do not need: remove it')


def read_xml(path: Path) -> Element:
    """Return the root of an XML file.

    Raises:
        ValueError: If it is not XML, or has a DOCTYPE.
    """
    parser = XMLParser(target=_WithoutDoctype())
    try:
        parser.feed(path.read_bytes())
        return parser.close()
    except (ParseError, ValueError, LookupError) as error:
        raise ValueError(f'{path} cannot be read as XML: {error}') from error


def text_of(element: Element, name: str) -> str:
    """Return the stripped text of a child, '' without one."""
    return (element.findtext(name) or '').strip()
