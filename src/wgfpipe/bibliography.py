"""References of plug-ins as BibTeX entries with a link: the file ``report/assets/references.bib``, found by title.

A plug-in cites in words, ``Peyre, Entropic Approximation of Wasserstein Gradient Flows, SIAM J. Imaging Sci. 8 (2015)``. The
entry of a citation is the one whose title is in it.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).parent / "report" / "assets" / "references.bib"


class Entry(NamedTuple):
    """A BibTeX entry: its text, and where the work is found."""

    key: str
    authors: str
    title: str
    year: str
    link: str
    link_text: str
    text: str

    @property
    def words(self) -> str:
        """The work in words, of which its title is a part: who, what and when."""
        return f"{self.authors}, {self.title} ({self.year})"

    @property
    def short(self) -> str:
        """Who and when."""
        return f"{self.authors} ({self.year})"


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
        If one has no author, title or year, or neither a DOI nor an address.
    """
    made = []
    for text in re.findall(r"^@\w+\{.*?^\}$", FILE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE):
        key = re.match(r"@\w+\{([^,]+),", text)
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", text, flags=re.MULTILINE))
        if key is None or not fields.keys() >= {"author", "title", "year"} or not fields.keys() & {"doi", "url"}:
            raise ValueError(f"{FILE.name}: got the entry {text!r}, expected a key, author, title, year, and a doi or a url")
        doi = fields.get("doi")
        link = f"https://doi.org/{doi}" if doi else fields["url"]
        found = link, f"doi:{doi}" if doi else "full text", text
        made.append(Entry(key.group(1), _surnames(fields["author"]), fields["title"], fields["year"], *found))
    return tuple(made)


def by_key(key: str) -> Entry | None:
    """Entry of a key; None where there is none."""
    return next((entry for entry in entries() if entry.key == key), None)


def cited(references: Iterable[str], keys: Iterable[str] = ()) -> list[Citation]:
    """Citations, each once, with their entries; at the end those of keys that no other citation is of."""
    by_title = {_letters(entry.title): entry for entry in entries()}
    citations = []
    for words in dict.fromkeys(references):
        found = [title for title in by_title if title in _letters(words)]
        longest = max(found, key=len, default=None)  # one title may begin another
        citations.append(Citation(words, None if longest is None else by_title[longest]))
    there = {citation.entry.key for citation in citations if citation.entry is not None}
    added = [by_key(key) for key in dict.fromkeys(keys) if key not in there]
    return citations + [Citation(entry.words, entry) for entry in added if entry is not None]


def bibtex(citations: Iterable[Citation]) -> str:
    """Entries as a BibTeX file; a citation without one stands as a comment."""
    listed = list(citations)
    texts = dict.fromkeys(citation.entry.text for citation in listed if citation.entry is not None)
    comments = [f"% {' '.join(citation.words.split())}" for citation in listed if citation.entry is None]
    return "\n\n".join([*texts, *comments]) + "\n"


def _surnames(authors: str) -> str:
    """Surnames of the authors of an entry: the first of more than four alone."""
    names = [_plain(name).partition(",")[0] for name in authors.split(" and ")]
    if "others" in names or len(names) > 4:
        return f"{names[0]} and others"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


ACCENTS = {"'": "\N{COMBINING ACUTE ACCENT}", "`": "\N{COMBINING GRAVE ACCENT}", '"': "\N{COMBINING DIAERESIS}"}
ACCENTS |= {"u": "\N{COMBINING BREVE}", "c": "\N{COMBINING CEDILLA}"}


def _plain(text: str) -> str:
    """Text of TeX as it reads: letters with accents and the o with a stroke, without braces."""
    text = text.replace("{\\o}", "\N{LATIN SMALL LETTER O WITH STROKE}")
    text = re.sub(r"\\(['`\"]|[uc](?=\{))\{?(\w)\}?", lambda found: found.group(2) + ACCENTS[found.group(1)], text)
    return unicodedata.normalize("NFC", re.sub(r"[{}]", "", text))


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
