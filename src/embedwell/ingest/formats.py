"""Which files are indexed, and how each kind is read and cut: one table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import cache
from typing import Literal

MIB = 1 << 20
TEXT_BYTES = 2 * MIB
CONTAINER_BYTES = 64 * MIB


@dataclass(frozen=True)
class Format:
    """How files of one kind become segments.

    Attributes:
        name: `markdown`, `pdf`, `source`, …
        language: What a search can be narrowed to: `markdown`, `python`, …; empty for plain text.
        kind: Whether it is text for people or code.
        extractor: Name in `extract.EXTRACTORS`.
        segmenter: Name in the registry of chunkers; unused where the extractor finds structure.
        max_bytes: Larger files are not read.
    """

    name: str
    language: str
    kind: Literal["text", "code"]
    extractor: str
    segmenter: str
    max_bytes: int = TEXT_BYTES


@dataclass(frozen=True)
class _Row:
    """A format, and the file names that it stands for: suffixes and whole names."""

    format: Format
    suffixes: str
    names: str = ""


def _text(name: str, segmenter: str, suffixes: str, names: str = "") -> _Row:
    language = "" if name == "text" else name
    return _Row(Format(name, language, "text", "text", segmenter), suffixes, names)


def _source(language: str, suffixes: str, names: str = "", *, parsed: bool = False) -> _Row:
    segmenter = "code" if parsed else "lines"
    return _Row(Format("source", language, "code", "text", segmenter), suffixes, names)


def _data(language: str, suffixes: str, names: str = "") -> _Row:
    return _Row(Format("data", language, "code", "text", "lines"), suffixes, names)


PLAIN = Format("text", "", "text", "text", "prose")

ROWS = (
    _text(
        "text",
        "prose",
        "txt text log",
        "readme license licence copying notice authors changelog news todo",
    ),
    _text("markdown", "markdown", "md markdown mdown mkd mdx qmd rmd"),
    _text("rst", "rst", "rst rest"),
    _text("asciidoc", "prose", "adoc asciidoc asc"),
    _text("org", "prose", "org"),
    _text("latex", "prose", "tex ltx sty cls bib"),
    _text("subtitles", "prose", "srt vtt"),
    _text("gettext", "prose", "po pot"),
    _Row(Format("html", "html", "text", "html", ""), "html htm xhtml"),
    _Row(Format("notebook", "jupyter", "text", "notebook", "", CONTAINER_BYTES), "ipynb"),
    _Row(Format("pdf", "pdf", "text", "pdf", "", CONTAINER_BYTES), "pdf"),
    _source("python", "py pyi pyw pyx", "sconstruct sconscript wscript", parsed=True),
    _source("javascript", "js mjs cjs jsx", parsed=True),
    _source("typescript", "ts mts cts", parsed=True),
    _source("tsx", "tsx", parsed=True),
    _source("go", "go", parsed=True),
    _source("rust", "rs", parsed=True),
    _source("java", "java", parsed=True),
    _source("c", "c h", parsed=True),
    _source("cpp", "cc cpp cxx c++ hh hpp hxx h++ ipp inl cu cuh ino", parsed=True),
    _source("ada", "adb ads"),
    _source("assembly", "asm s"),
    _source("clojure", "clj cljs cljc edn"),
    _source("cmake", "cmake", "cmakelists.txt"),
    _source("cobol", "cob cbl cpy"),
    _source("crystal", "cr"),
    _source("csharp", "cs csx"),
    _source("css", "css scss sass less styl"),
    _source("d", "d"),
    _source("dart", "dart"),
    _source("dockerfile", "dockerfile", "dockerfile containerfile"),
    _source("elixir", "ex exs"),
    _source("elm", "elm"),
    _source("erlang", "erl hrl"),
    _source("fortran", "f f77 f90 f95 f03 f08 for"),
    _source("fsharp", "fs fsi fsx"),
    _source("glsl", "glsl vert frag geom comp wgsl hlsl metal"),
    _source("gradle", "gradle"),
    _source("graphql", "graphql gql"),
    _source("groovy", "groovy", "jenkinsfile"),
    _source("haskell", "hs lhs"),
    _source("hcl", "tf tfvars hcl"),
    _source("julia", "jl"),
    _source("kotlin", "kt kts"),
    _source("lisp", "lisp lsp cl el scm ss rkt"),
    _source("lua", "lua"),
    _source("makefile", "mk mak", "makefile gnumakefile justfile"),
    _source("matlab", "matlab mlx"),
    _source("nim", "nim"),
    _source("nix", "nix"),
    _source("objective-c", "m mm"),
    _source("ocaml", "ml mli"),
    _source("pascal", "pas pp dpr"),
    _source("perl", "pl pm t"),
    _source("php", "php phtml"),
    _source("powershell", "ps1 psm1 psd1"),
    _source("prolog", "pro prolog"),
    _source("protobuf", "proto thrift capnp fbs"),
    _source("r", "r"),
    _source("ruby", "rb rake gemspec", "gemfile rakefile vagrantfile podfile brewfile"),
    _source("scala", "scala sc sbt"),
    _source("shell", "sh bash zsh fish ksh bats", ".bashrc .bash_profile .profile .zshrc .envrc"),
    _source("batch", "bat cmd"),
    _source("solidity", "sol"),
    _source("sql", "sql ddl psql"),
    _source("starlark", "bzl bazel star", "build workspace tiltfile"),
    _source("svelte", "svelte"),
    _source("swift", "swift"),
    _source("tcl", "tcl"),
    _source("template", "j2 jinja jinja2 tmpl hbs mustache ejs erb haml pug liquid twig"),
    _source("verilog", "v vh sv svh"),
    _source("vhdl", "vhd vhdl"),
    _source("vim", "vim", ".vimrc"),
    _source("visual-basic", "vb vbs bas"),
    _source("vue", "vue astro"),
    _source("zig", "zig"),
    _data("csv", "csv tsv"),
    _data("ini", "ini cfg conf config properties editorconfig", ".editorconfig .gitconfig"),
    _data("json", "json jsonc json5 jsonl ndjson geojson webmanifest"),
    _data("patch", "patch diff"),
    _data("toml", "toml"),
    _data("xml", "xml xsd xsl xslt rss atom plist xaml csproj vbproj fsproj props targets wsdl"),
    _data("yaml", "yaml yml"),
)

# Written by package managers: names and hashes, nothing that is asked for by meaning.
_LOCKS = """
    *.lock *.lockb *-lock.json *-lock.yaml *.lock.json npm-shrinkwrap.json go.sum gradle.lockfile
    packages.lock.json package.resolved *.sum
"""
# Made from files that are indexed themselves, or for machines only.
_GENERATED = "*.min.js *.min.mjs *.min.css *.bundle.js *.chunk.js *.map *.svg *.pyc"
# Secrets have no place in an index.
_SECRETS = """
    .env .env.* *.pem *.key *.crt *.cer *.p12 *.pfx *.jks *.keystore *.kdbx *.gpg *.pgp
    id_rsa id_dsa id_ecdsa id_ed25519 .netrc .npmrc .pypirc .htpasswd
"""
# What tools leave in folders.
_LEFTOVERS = """
    .ds_store thumbs.db desktop.ini *.swp *.swo *~ *.bak *.orig *.tmp *.pid .mailmap
    .gitignore .gitattributes .gitmodules .gitkeep .dockerignore .npmignore .eslintignore
    .prettierignore
"""
_BINARY = """
    png jpg jpeg gif bmp ico tif tiff webp avif heic heif psd ai eps raw cr2 nef xcf
    mp3 wav flac ogg oga opus m4a aac wma mid midi mp4 mkv mov avi webm wmv flv m4v mpg mpeg
    zip gz tgz bz2 xz zst lz4 7z rar tar jar war ear whl egg deb rpm apk dmg iso img cab msi
    exe dll so dylib a o obj lib bin class wasm pyd pdb elc beam node ko dex rlib rmeta
    ttf otf woff woff2 eot fon pfb
    doc docx xls xlsx ppt pptx odt ods odp epub mobi djvu pages numbers vsd one pub
    db sqlite sqlite3 mdb accdb dbf ldb frm ibd rdb wal shm
    db-wal db-shm db-journal sqlite-wal sqlite-shm sqlite-journal
    sqlite3-wal sqlite3-shm sqlite3-journal
    npy npz pkl pickle joblib h5 hdf5 parquet arrow feather orc avro mat rds rdata sav dta
    pt pth ckpt onnx safetensors gguf ggml tflite pb mlmodel caffemodel tfrecord model spm
    blend fbx glb gltf stl ply 3ds dwg dxf skp max unity3d uasset pak nib
    der bcmap mo qm swf dat dmp core stackdump cache idx pack
"""
LEFT_OUT = tuple(f"{_LOCKS} {_GENERATED} {_SECRETS} {_LEFTOVERS}".split())
_LEFT_OUT = re.compile("|".join(translate(pattern) for pattern in LEFT_OUT))
BINARY_SUFFIXES = frozenset(_BINARY.split())


def format_of(name: str, size_factor: float = 1.0) -> Format | None:
    """The format of a file by its name.

    Args:
        name: File name or path; only the last part counts, whatever its case.
        size_factor: Multiplies `max_bytes`.

    Returns:
        The format; plain text where the name says nothing (whether it is text is found when it
        is decoded); None for what is not indexed.
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1].lower()
    if _LEFT_OUT.match(last):
        return None
    stem, _, suffix = last.rpartition(".")
    if stem and suffix in BINARY_SUFFIXES:
        return None
    by_name, by_suffix = _tables()
    found = (
        by_name.get(last) or (by_suffix.get(suffix) if stem else None) or _by_stem(last) or PLAIN
    )
    if size_factor == 1.0:
        return found
    return replace(found, max_bytes=int(found.max_bytes * size_factor))


def table() -> str:
    """The formats as a Markdown table, for the documentation."""
    return "\n".join(_table_lines()) + "\n"


def _by_stem(last: str) -> Format | None:
    """`Dockerfile.dev` is a Dockerfile; `README.fr` is text anyway."""
    return _tables()[0].get(last.split(".", 1)[0])


@cache
def _tables() -> tuple[dict[str, Format], dict[str, Format]]:
    by_name = {name: row.format for row in ROWS for name in row.names.split()}
    by_suffix = {suffix: row.format for row in ROWS for suffix in row.suffixes.split()}
    return by_name, by_suffix


def _table_lines() -> Iterator[str]:
    yield "| format | language | kind | cut by | most MiB | files |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in ROWS:
        form = row.format
        files = [f"`.{suffix}`" for suffix in row.suffixes.split()]
        files += [f"`{name}`" for name in row.names.split()]
        yield (
            f"| {form.name} | {form.language} | {form.kind} | {form.segmenter or form.extractor} "
            f"| {form.max_bytes // MIB} | {' '.join(files)} |"
        )
