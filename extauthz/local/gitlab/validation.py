"""GraphQL validation errors in GitLab's words.

GitLab runs graphql-ruby, which words an unknown field or argument in its own way, and gives such
an error a path and a code; clients tell an older GitLab by it. All else keeps graphql-core's words.
"""

from collections.abc import Sequence
from typing import Any

from graphql import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    specified_rules,
    validate,
)
from graphql.validation import (
    ASTValidationRule,
    FieldsOnCorrectTypeRule,
    KnownArgumentNamesRule,
    ValidationRule,
)


def validation_errors(schema: GraphQLSchema, document: DocumentNode) -> list[dict[str, Any]]:
    """Return what is wrong with a query, as GitLab formats it."""
    return [_formatted(error) for error in validate(schema, document, _rules())]


def _rules() -> list[type[ASTValidationRule]]:
    replaced: dict[type[ASTValidationRule], type[ASTValidationRule]] = {
        FieldsOnCorrectTypeRule: _FieldsExist,
        KnownArgumentNamesRule: _ArgumentsExist,
    }
    return [replaced.get(rule, rule) for rule in specified_rules]


def _formatted(error: GraphQLError) -> dict[str, Any]:
    extensions = dict(error.extensions or {})
    path = extensions.pop("path", None)
    formatted: dict[str, Any] = {"message": error.message}
    if error.locations:
        formatted["locations"] = [location.formatted for location in error.locations]
    if path:
        formatted["path"] = path
    if extensions:
        formatted["extensions"] = extensions
    return formatted


class _FieldsExist(ValidationRule):
    def enter_field(
        self, node: FieldNode, _key: Any, _parent: Any, _path: Any, ancestors: Sequence[Any]
    ) -> None:
        parent, name = self.context.get_parent_type(), node.name.value
        if parent is None or self.context.get_field_def() is not None:
            return
        self.report_error(
            GraphQLError(
                f"Field '{name}' doesn't exist on type '{parent.name}'",
                node,
                extensions={
                    "code": "undefinedField",
                    "typeName": parent.name,
                    "fieldName": name,
                    "path": [*_path_of(ancestors), _key_of(node)],
                },
            )
        )


class _ArgumentsExist(ValidationRule):
    def enter_argument(
        self, node: ArgumentNode, _key: Any, _parent: Any, _path: Any, ancestors: Sequence[Any]
    ) -> None:
        holder = next(
            each for each in reversed(ancestors) if isinstance(each, FieldNode | DirectiveNode)
        )
        known = self.context.get_argument() is not None or self.context.get_field_def() is None
        if known or isinstance(holder, DirectiveNode):
            return
        name = node.name.value
        self.report_error(
            GraphQLError(
                f"Field '{holder.name.value}' doesn't accept argument '{name}'",
                node,
                extensions={
                    "code": "argumentNotAccepted",
                    "name": holder.name.value,
                    "typeName": "Field",
                    "argumentName": name,
                    "path": [*_path_of(ancestors), name],
                },
            )
        )


def _path_of(ancestors: Sequence[Any]) -> list[str]:
    """Return the way from the operation to a node, as graphql-ruby writes it."""
    return [
        _key_of(ancestor)
        for ancestor in ancestors
        if isinstance(ancestor, OperationDefinitionNode | FieldNode)
    ]


def _key_of(node: OperationDefinitionNode | FieldNode) -> str:
    if isinstance(node, FieldNode):
        return node.alias.value if node.alias else node.name.value
    operation = node.operation.value
    return f"{operation} {node.name.value}" if node.name else operation
