"""The part of GitLab's GraphQL schema that is served, as old as the instance says to be."""

from graphql import GraphQLSchema, build_schema

# Releases of GitLab in which a field or an argument appeared.
_MAX_ACCESS_LEVEL = (16, 9)
_FULL_PATHS = (16, 6)
_ARCHIVED = (17, 4)
_MIN_ACCESS_LEVEL = (17, 5)


def schema_of(version: tuple[int, int]) -> GraphQLSchema:
    """Return the schema of a release."""
    level = "maxAccessLevel: AccessLevel!" if version >= _MAX_ACCESS_LEVEL else ""
    arguments = [
        ("fullPaths: [String!]", _FULL_PATHS),
        ("archived: ProjectArchived", _ARCHIVED),
        ("minAccessLevel: AccessLevelEnum", _MIN_ACCESS_LEVEL),
    ]
    newer = " ".join(argument for argument, since in arguments if version >= since)
    return build_schema(_TYPES.replace("<level>", level).replace("<newer>", newer))


_TYPES = """
type Query {
  currentUser: CurrentUser
  project(fullPath: ID!): Project
  projects(
    ids: [ID!] membership: Boolean topics: [String!] sort: String
    first: Int after: String <newer>
  ): ProjectConnection
}
type CurrentUser { id: UserID! username: String! name: String! bot: Boolean! }
type Project {
  id: ID!
  fullPath: ID!
  name: String!
  topics: [String!]
  archived: Boolean
  visibility: String
  <level>
}
type AccessLevel { integerValue: Int stringValue: AccessLevelEnum }
type ProjectConnection { nodes: [Project] edges: [ProjectEdge] count: Int! pageInfo: PageInfo! }
type ProjectEdge { cursor: String! node: Project }
type PageInfo {
  hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String
}
enum AccessLevelEnum {
  NO_ACCESS MINIMAL_ACCESS GUEST PLANNER REPORTER SECURITY_MANAGER DEVELOPER MAINTAINER OWNER
}
enum ProjectArchived { ONLY INCLUDE EXCLUDE }
scalar UserID
"""
