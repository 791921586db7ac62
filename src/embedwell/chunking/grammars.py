"""What the syntax trees of each programming language call a definition.

Node names are those of the tree-sitter grammar that the row names.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Grammar:
    """One language's tree-sitter grammar, and which of its nodes matter.

    Attributes:
        source: `module:function` that gives the compiled grammar.
        definitions: Nodes that get a symbol of their own.
        containers: Definitions whose members get symbols too.
        wrappers: Nodes around one definition, whose beginning belongs to it.
        transparent: Nodes that are looked through as if their children stood in their place.
        leads: Nodes that belong to the definition right below them.
    """

    source: str
    definitions: frozenset[str]
    containers: frozenset[str]
    wrappers: frozenset[str] = frozenset()
    transparent: frozenset[str] = frozenset({"ERROR"})
    leads: frozenset[str] = frozenset({"comment"})


_C_CONDITIONS = "preproc_if preproc_ifdef preproc_else preproc_elif preproc_elifdef"


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


def _script(source: str) -> Grammar:
    containers = "class class_declaration abstract_class_declaration internal_module module"
    return Grammar(
        source,
        _names(
            f"{containers} function_declaration generator_function_declaration method_definition "
            "function_expression generator_function arrow_function interface_declaration "
            "type_alias_declaration enum_declaration function_signature"
        ),
        _names(containers),
        _names(
            "export_statement ambient_declaration lexical_declaration variable_declaration "
            "variable_declarator field_definition public_field_definition expression_statement"
        ),
        leads=_names("comment decorator"),
    )


GRAMMARS = {
    "python": Grammar(
        "tree_sitter_python:language",
        _names("function_definition class_definition"),
        _names("class_definition"),
        _names("decorated_definition"),
    ),
    "javascript": _script("tree_sitter_javascript:language"),
    "typescript": _script("tree_sitter_typescript:language_typescript"),
    "tsx": _script("tree_sitter_typescript:language_tsx"),
    "go": Grammar(
        "tree_sitter_go:language",
        _names("function_declaration method_declaration type_spec type_alias"),
        frozenset(),
        _names("type_declaration"),
    ),
    "rust": Grammar(
        "tree_sitter_rust:language",
        _names(
            "function_item struct_item enum_item union_item trait_item impl_item mod_item "
            "type_item macro_definition function_signature_item"
        ),
        _names("impl_item trait_item mod_item"),
        transparent=_names("ERROR foreign_mod_item"),
        leads=_names("line_comment block_comment attribute_item"),
    ),
    "java": Grammar(
        "tree_sitter_java:language",
        _names(
            "class_declaration interface_declaration enum_declaration record_declaration "
            "annotation_type_declaration method_declaration constructor_declaration "
            "compact_constructor_declaration"
        ),
        _names(
            "class_declaration interface_declaration enum_declaration record_declaration "
            "annotation_type_declaration"
        ),
        transparent=_names("ERROR enum_body_declarations"),
        leads=_names("line_comment block_comment"),
    ),
    "c": Grammar(
        "tree_sitter_c:language",
        _names("function_definition struct_specifier enum_specifier union_specifier"),
        frozenset(),
        _names("type_definition"),
        _names(f"ERROR linkage_specification declaration_list {_C_CONDITIONS}"),
    ),
    "cpp": Grammar(
        "tree_sitter_cpp:language",
        _names(
            "function_definition struct_specifier enum_specifier union_specifier class_specifier "
            "namespace_definition concept_definition alias_declaration"
        ),
        _names("struct_specifier class_specifier union_specifier namespace_definition"),
        _names("template_declaration type_definition field_declaration"),
        _names(f"ERROR linkage_specification {_C_CONDITIONS}"),
        _names("comment access_specifier"),
    ),
}
