"""Source code: definitions with their symbols, whatever the language and however broken."""

import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedwell.chunking import code
from embedwell.chunking.grammars import GRAMMARS

SAMPLES = {
    "python": (
        '''\
        """Café ☕ 🙂."""
        import os

        # apart

        # about f
        @cached
        def f(x):  # été 🙂
            return 1

        class A(B):
            async def g(self): pass
            # about h
            def h(self): pass
            Y = 2

        class E(Exception):
            """Doc."""
            def m(self): pass
        if __name__ == "__main__":
            f()
        ''',
        [
            ("", '"""Café ☕ 🙂."""\nimport os\n\n# apart'),
            ("f", "# about f\n@cached\ndef f(x):  # été 🙂\n    return 1"),
            ("A.g", "class A(B):\n    async def g(self): pass"),
            ("A.h", "# about h\n    def h(self): pass"),
            ("A", "Y = 2"),
            ("E", 'class E(Exception):\n    """Doc."""'),
            ("E.m", "def m(self): pass"),
            ("", 'if __name__ == "__main__":\n    f()'),
        ],
    ),
    "javascript": (
        """\
        import x from "y";
        /** à propos */
        export default function foo(a) { return <b>é</b> }
        export const bar = async (x) => 1;
        const z = 1;
        class A extends B {
          #p = 1;
          constructor() {}
          arrow = () => 1;
        }
        module.exports = { A };
        """,
        [
            ("", 'import x from "y";'),
            ("foo", "/** à propos */\nexport default function foo(a) { return <b>é</b> }"),
            ("bar", "export const bar = async (x) => 1;"),
            ("", "const z = 1;"),
            ("A", "class A extends B {\n  #p = 1;"),
            ("A.constructor", "constructor() {}"),
            ("A.arrow", "arrow = () => 1;\n}"),
            ("", "module.exports = { A };"),
        ],
    ),
    "typescript": (
        """\
        export interface I<T> { a: string }
        type U = A | B;
        namespace N.M { export function q(): void {} }
        @Component({a: 1})
        export class C {
          @Input() x: string;
          @dec()
          m(): void {}
        }
        declare module "foo" { export function z(): void; }
        """,
        [
            ("I", "export interface I<T> { a: string }"),
            ("U", "type U = A | B;"),
            ("N.M.q", "namespace N.M { export function q(): void {} }"),
            ("C", "@Component({a: 1})\nexport class C {\n  @Input() x: string;"),
            ("C.m", "@dec()\n  m(): void {}\n}"),
            ("foo.z", 'declare module "foo" { export function z(): void; }'),
        ],
    ),
    "tsx": (
        "export function App(): Element { return <b/>; }\nclass X {}\n",
        [("App", "export function App(): Element { return <b/>; }"), ("X", "class X {}")],
    ),
    "go": (
        """\
        package main
        // Parser parses.
        type Parser struct { x int }
        // Parse it.
        func (p *Parser) Parse(x int) error { return nil }
        func (List[T]) Len() int { return 0 }
        func main() {}
        var x = 1
        """,
        [
            ("", "package main"),
            ("Parser", "// Parser parses.\ntype Parser struct { x int }"),
            ("Parser.Parse", "// Parse it.\nfunc (p *Parser) Parse(x int) error { return nil }"),
            ("List[T].Len", "func (List[T]) Len() int { return 0 }"),
            ("main", "func main() {}"),
            ("", "var x = 1"),
        ],
    ),
    "rust": (
        """\
        use std::io;
        /// doc
        #[derive(Debug)]
        pub struct P<T> { a: T }
        impl<T> Display for P<T> {
            /// new
            pub fn new() -> Self { }
            fn b(&self) {}
        }
        mod tests { #[test] fn t() {} }
        extern "C" { fn c(); }
        """,
        [
            ("", "use std::io;"),
            ("P", "/// doc\n#[derive(Debug)]\npub struct P<T> { a: T }"),
            ("P<T>.new", "impl<T> Display for P<T> {\n    /// new\n    pub fn new() -> Self { }"),
            ("P<T>.b", "fn b(&self) {}\n}"),
            ("tests.t", "mod tests { #[test] fn t() {} }"),
            ("", 'extern "C" { fn c(); }'),
        ],
    ),
    "java": (
        """\
        package a.b;
        /** À propos */
        @Ann
        public class Foo<T> extends Bar {
          private int x;
          /** c */
          public Foo() {}
          class Inner { void z() {} }
        }
        enum E { A, B; void m() {} }
        """,
        [
            ("", "package a.b;"),
            ("Foo", "/** À propos */\n@Ann\npublic class Foo<T> extends Bar {\n  private int x;"),
            ("Foo.Foo", "/** c */\n  public Foo() {}"),
            ("Foo.Inner.z", "class Inner { void z() {} }\n}"),
            ("E", "enum E { A, B;"),
            ("E.m", "void m() {} }"),
        ],
    ),
    "c": (
        """\
        #ifndef X
        #define X
        /* à propos */
        struct foo { int a; };
        typedef struct { int b; } bar_t;
        static int *f(int a) { return 0; }
        #ifdef Y
        void g(void) {}
        #endif
        int decl(void);
        #endif
        """,
        [
            ("", "#ifndef X\n#define X"),
            ("foo", "/* à propos */\nstruct foo { int a; };"),
            ("bar_t", "typedef struct { int b; } bar_t;"),
            ("f", "static int *f(int a) { return 0; }"),
            ("", "#ifdef Y"),
            ("g", "void g(void) {}\n#endif"),
            ("", "int decl(void);\n#endif"),
        ],
    ),
    "cpp": (
        """\
        #include <x>
        namespace a::b {
        template <class T> class V : W {
        public:
          // new
          V() {}
          bool operator==(const V& o) const { return true; }
        };
        int V<int>::size() const { return 1; }
        }
        """,
        [
            ("", "#include <x>"),
            (
                "a::b.V.V",
                "namespace a::b {\ntemplate <class T> class V : W {\npublic:\n  // new\n  V() {}",
            ),
            ("a::b.V.operator==", "bool operator==(const V& o) const { return true; }\n};"),
            ("a::b.V<int>::size", "int V<int>::size() const { return 1; }\n}"),
        ],
    ),
}


def found(language, text):
    return [
        (part.title, text[part.start : part.end].strip()) for part in code.segments(text, language)
    ]


def test_every_grammar_has_a_sample():
    assert set(SAMPLES) == set(GRAMMARS)


@pytest.mark.parametrize("language", SAMPLES)
def test_definitions_are_found_with_their_symbols(language):
    text, expected = SAMPLES[language]
    assert found(language, textwrap.dedent(text)) == expected


@pytest.mark.parametrize("language", SAMPLES)
@settings(deadline=None)
@given(data=st.data())
def test_damaged_code_loses_nothing(language, data):
    text = textwrap.dedent(SAMPLES[language][0])
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    patch = data.draw(st.sampled_from(["", "(", "}}", '"', "é🙂", "\0", "\ud800", "\n\n"]))
    damaged = text[:start] + patch + text[end:]
    parts = code.segments(damaged, language)
    if damaged.strip():
        assert "".join(damaged[part.start : part.end] for part in parts) == damaged
    else:
        assert parts == []


def test_what_parses_in_a_broken_file_keeps_its_symbols():
    titles = [title for title, _ in found("python", "def (((\nclass A:\n  def f(self): pass\n")]
    assert "A.f" in titles


def test_headers_may_be_cpp():
    assert [t for t, _ in found("c", "class V { public: int a(){return 1;} };\n")] == ["V.a"]
    assert found("c", "struct {{{ class\n")[0][1]


def test_members_nested_too_deep_stay_with_what_surrounds_them():
    text = "".join(f"{' ' * level}class C{level}:\n" for level in range(40)) + " " * 40 + "pass\n"
    (only,) = code.segments(text, "python")
    assert len(only.path) == code.MAX_NESTING


def test_languages_without_a_grammar_are_one_segment():
    assert found("cobol", "MOVE A TO B.\n") == [("", "MOVE A TO B.")]


def test_a_million_brackets_are_read():
    text = "[({<" * 20_000
    (only,) = code.segments(text, "python")
    assert (only.start, only.end) == (0, len(text))


def test_generated_sources_are_not_parsed():
    text = "def f(): pass\n" * 40_000
    assert [(part.start, part.end, part.title) for part in code.segments(text, "python")] == [
        (0, len(text), "")
    ]


def test_definitions_without_a_name_are_called_by_their_kind():
    assert [title for title, _ in found("javascript", "export default () => 1;\n")] == [
        "arrow_function"
    ]
