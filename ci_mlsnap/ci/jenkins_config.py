"""A job's config.xml: what we want of it is put into what is there, and all else stays as it is."""

from __future__ import annotations

import copy
import difflib
import re
from xml.etree import ElementTree as ET

from ci_mlsnap.errors import JenkinsRejected, Refused

_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_OURS = "<?xml version='1.1' encoding='UTF-8'?>\n"
_ONCE = "description"
"""What is written into a job that is new, and is people's from then on."""


def read(xml: str) -> ET.Element:
    """Parse a config.xml. Raises `JenkinsRejected`."""
    # Jenkins writes version 1.1, which parsers of 1.0 read as well, but for some control characters.
    text = _DECLARATION.sub("", xml)
    if "<!DOCTYPE" in text:
        raise _unreadable("it has a DOCTYPE")
    try:
        return ET.fromstring(text)  # noqa: S314 - of the operator's own server, and without entities of its own
    except ET.ParseError as error:
        raise _unreadable(str(error)[:200]) from None


def _unreadable(why: str) -> JenkinsRejected:
    return JenkinsRejected(
        "the job's config.xml cannot be read",
        why=why,
        safe="nothing was changed",
        hint="save the job once by hand, on its page in Jenkins",
    )


def write(root: ET.Element) -> str:
    """Write a config.xml as Jenkins takes it."""
    return _OURS + ET.tostring(root, encoding="unicode")


def merged(there: ET.Element, wanted: ET.Element) -> ET.Element:
    """Give what is there with all that is wanted. Merging the same again changes nothing.

    Raises `Refused` for a job of another kind.
    """
    if there.tag != wanted.tag:
        raise Refused(
            "there is a job of this name, and it is of another kind",
            why=f"it is a {there.tag.rpartition('.')[2]}, not a {wanted.tag.rpartition('.')[2]}",
            safe="nothing was changed",
            hint="take another name, or remove that job by hand",
        )
    result = copy.deepcopy(there)
    _merge(result, wanted, top=True)
    return result


def difference(before: ET.Element | None, after: ET.Element) -> list[str]:
    """Give the lines that differ, as `diff -u` does; none where both mean the same."""
    old = _lines(before) if before is not None else []
    return list(difflib.unified_diff(old, _lines(after), "on the server", "wanted", n=2, lineterm=""))


def _merge(there: ET.Element, wanted: ET.Element, *, top: bool = False) -> None:
    for child in wanted:
        found = _counterpart(there, child)
        if found is None:
            there.append(copy.deepcopy(child))
        elif top and child.tag == _ONCE:
            continue
        elif found.get("class") != child.get("class"):
            there[list(there).index(found)] = copy.deepcopy(child)  # another kind of thing, with fields of its own
        else:
            found.text = child.text if (child.text or "").strip() else found.text
            _merge(found, child)


def _counterpart(there: ET.Element, child: ET.Element) -> ET.Element | None:
    """Find the element that means the same: of several alike, as of parameters, the one of the same name."""
    alike = [each for each in there if each.tag == child.tag]
    name = child.findtext("name")
    if name is not None and child.tag.endswith("ParameterDefinition"):
        return next((each for each in there if each.findtext("name") == name), None)
    return alike[0] if alike else None


def _lines(root: ET.Element) -> list[str]:
    shown = copy.deepcopy(root)
    for each in shown.iter():
        each.attrib.pop("plugin", None)
        each.text = each.text if (each.text or "").strip() else None
        each.tail = None
    ET.indent(shown)
    return ET.tostring(shown, encoding="unicode").splitlines()
