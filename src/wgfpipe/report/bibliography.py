"""References of plug-ins as BibTeX entries with a link: the file ``assets/references.bib``, found by title.

A plug-in cites in words, ``Peyre, Entropic Approximation of Wasserstein Gradient Flows, SIAM J. Imaging Sci. 8 (2015)``. The
entry of a citation is the one whose title is in it.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).parent / "assets" / "references.bib"


class Entry(NamedTuple):
    """A BibTeX entry: its text, and where the work is found."""

    key: str
    title: str
    link: str
    link_text: str
    text: str


class Citation(NamedTuple):
    """A citation in words and its entry; None for what the config of an experiment cites."""

    words: str
    entry: Entry | None


@cache
def entries() -> tuple[Entry, ...]:
    """All entries of the file.

    Raises
    ------
    ValueError
        If one has no title, or neither a DOI nor an address.
    """
    made = []
    for text in re.findall(r"^@\w+\{.*?^\}$", FILE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE):
        key = re.match(r"@\w+\{([^,]+),", text)
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", text, flags=re.MULTILINE))
        if key is None or "title" not in fields or not fields.keys() & {"doi", "url"}:
            raise ValueError(f"{FILE.name}: got the entry {text!r}, expected a key, a title, and a doi or a url")
        doi = fields.get("doi")
        link = f"https://doi.org/{doi}" if doi else fields["url"]
        made.append(Entry(key.group(1), fields["title"], link, f"doi:{doi}" if doi else "full text", text))
    return tuple(made)


def cited(references: Iterable[str]) -> list[Citation]:
    """Citations, each once, with their entries."""
    by_title = {_letters(entry.title): entry for entry in entries()}
    citations = []
    for words in dict.fromkeys(references):
        found = [title for title in by_title if title in _letters(words)]
        longest = max(found, key=len, default=None)  # one title may begin another
        citations.append(Citation(words, None if longest is None else by_title[longest]))
    return citations


def bibtex(citations: Iterable[Citation]) -> str:
    """Entries as a BibTeX file; a citation without one stands as a comment."""
    listed = list(citations)
    texts = dict.fromkeys(citation.entry.text for citation in listed if citation.entry is not None)
    comments = [f"% {' '.join(citation.words.split())}" for citation in listed if citation.entry is None]
    return "\n\n".join([*texts, *comments]) + "\n"


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
