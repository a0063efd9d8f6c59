/** Why bytes or JSON are not of a schema. */
export class SchemaDataError extends Error {}
