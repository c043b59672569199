"""Small documents of every format, a recipe that names them, and a site on 127.0.0.1."""

from __future__ import annotations

import gzip
import io
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from headrace.recipe import Recipe

FAQ = (
    "id,question,answer,intent,language,url,channel\n"
    "1,Where is my parcel?,We mail you a link.,track,en,https://shop.example/p,\n"
    "2,How do I return a gift?,Send it back within 30 days.,,en,,\n"
    "3,What is the dealer price?,Ten percent less.,,en,,partner\n"
)
PAGE = (
    "<html lang=en><head><title>Shop</title></head><body><nav><a href=/>Home</a></nav><main>"
    "<h1>Returns</h1><p>Send it <b>back</b> within 30 days.</p><h2>Refund</h2><p>We pay in 5 days.</p>"
    "<script>x()</script></main><footer>imprint</footer></body></html>"
)


def recipe(**knowledge: Mapping[str, Any]) -> Recipe:
    """Two channels, `website` and `partner`, and these sources of documents."""
    return Recipe.model_validate(
        {
            "name": "test",
            "tasks": {"intent": {}},
            "channels": {"website": {"tasks": ["intent"]}, "partner": {"tasks": ["intent"]}},
            "knowledge": knowledge,
        }
    )


def pdf(*pages: str, encrypted: bool = False) -> bytes:
    """A PDF with a text a page, none where it is empty."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for n, text in enumerate(pages):
        drawn = " ".join(f"({line}) Tj 0 -14 Td" for line in text.split("\n")) if text else ""
        stream = f"BT /F1 12 Tf 72 720 Td {drawn} ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * n} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    out, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    trailer = f"<< /Size {len(objects) + 1} /Root 1 0 R >>"
    count = len(objects) + 1
    out += f"xref\n0 {count}\n0000000000 65535 f \n{table}trailer\n{trailer}\nstartxref\n{len(out)}\n%%EOF\n"
    return _locked(out.encode()) if encrypted else out.encode()


def _locked(data: bytes) -> bytes:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    writer.encrypt("secret", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def xlsx(sheets: Mapping[str, list[list[str]]]) -> bytes:
    """A workbook as spreadsheets write it: shared strings, a part a sheet."""
    shared: dict[str, int] = {}
    names, links, parts = "", "", {}
    for number, (name, rows) in enumerate(sheets.items(), start=1):
        names += f'<sheet name="{escape(name)}" sheetId="{number}" r:id="rId{number}"/>'
        links += f'<Relationship Id="rId{number}" Target="worksheets/sheet{number}.xml"/>'
        body = ""
        for r, row in enumerate(rows, start=1):
            cells = "".join(
                f'<c r="{chr(65 + c)}{r}" t="s"><v>{shared.setdefault(cell, len(shared))}</v></c>'
                for c, cell in enumerate(row)
                if cell
            )
            body += f'<row r="{r}">{cells}</row>'
        parts[f"xl/worksheets/sheet{number}.xml"] = f"<worksheet><sheetData>{body}</sheetData></worksheet>"
    parts["xl/workbook.xml"] = f'<workbook xmlns:r="urn:r"><sheets>{names}</sheets></workbook>'
    parts["xl/_rels/workbook.xml.rels"] = f"<Relationships>{links}</Relationships>"
    strings = "".join(f"<si><t>{escape(text)}</t></si>" for text in shared)
    parts["xl/sharedStrings.xml"] = f"<sst>{strings}</sst>"
    return zipped(parts)


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    """A zip archive of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return out.getvalue()


Answered = tuple[int, Mapping[str, str], bytes]


@dataclass
class Site:
    """What a site on 127.0.0.1 answers by path, and what it was asked."""

    port: int = 0
    pages: dict[str, Answered | Callable[[Mapping[str, str]], Answered]] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def page(
        self, path: str, body: str | bytes, kind: str = "text/html; charset=utf-8", **headers: str
    ) -> None:
        """Answer `path` with 200 and this body."""
        data = body.encode() if isinstance(body, str) else body
        self.pages[path] = (200, {"Content-Type": kind, **headers}, data)

    def sitemap(self, *paths: str, packed: bool = False) -> None:
        """Name these pages in /sitemap.xml, or in /sitemap.xml.gz."""
        entries = "".join(
            f"<url><loc>{path if '://' in path else self.url(path)}</loc></url>" for path in paths
        )
        body = f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</urlset>'
        self.page("/sitemap.xml", body, "application/xml")
        if packed:
            self.page("/sitemap.xml.gz", gzip.compress(body.encode()), "application/gzip")

    def url(self, path: str, host: str = "help.test") -> str:
        """The address of a page, by the name under which the tests' resolver knows the site."""
        return f"http://{host}:{self.port}{path}"


@contextmanager
def serving() -> Iterator[Site]:
    """A site that answers while the block runs."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
            found = site.pages.get(self.path, (404, {}, b""))
            status, headers, body = found(dict(self.headers)) if callable(found) else found
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


def write(folder: Path, name: str, data: str | bytes) -> None:
    """A file within `folder`."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
