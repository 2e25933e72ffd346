import { html, raw } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";

/** As much of a JSON schema as the page shows. */
export interface ShownSchema {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  enum?: unknown[];
  default?: unknown;
  example?: unknown;
  minimum?: number;
  maximum?: number;
  items?: ShownSchema;
  properties?: Record<string, ShownSchema>;
  required?: string[];
  allOf?: ShownSchema[];
  anyOf?: ShownSchema[];
  oneOf?: ShownSchema[];
}

/** A piece of HTML in which everything foreign is escaped. */
export type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

/** The id of a schema's place on the page. */
export const schemaAnchor = (name: string) => `schema-${name}`;

/** A schema's type in a few words, with links to the named ones. */
export function typeText(schema: ShownSchema | undefined): Html {
  if (schema === undefined) return html`any`;
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split("/").at(-1)!;
    return html`<a href="#${schemaAnchor(name)}">${name}</a>`;
  }
  if (schema.enum !== undefined) {
    return html`${schema.enum.map((value) => JSON.stringify(value)).join(" | ")}`;
  }
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) {
    return html`${choices.map((choice, index) => html`${index === 0 ? "" : " or "}${typeText(choice)}`)}`;
  }
  if (schema.items !== undefined) return html`list of ${typeText(schema.items)}`;
  const type = [schema.type ?? "any"].flat().join(" or ");
  return html`${type}${schema.format === undefined ? "" : ` (${schema.format})`}`;
}

/** The properties of a schema as a table; nothing when it has none. */
export function propertiesTable(schema: ShownSchema): Html {
  const parts = [schema, ...schema.allOf ?? []];
  const required = new Set(parts.flatMap((part) => part.required ?? []));
  const rows = parts.flatMap((part) => propertyRows(part.properties ?? {}, required, ""));
  if (rows.length === 0) return raw("");
  return html`
    <table>
      <thead>
        <tr>
          <th>property</th>
          <th>type</th>
          <th>meaning</th>
        </tr>
      </thead>
      <tbody>${rows}</tbody>
    </table>
  `;
}

function propertyRows(
  properties: Record<string, ShownSchema>,
  required: ReadonlySet<string>,
  prefix: string,
): Html[] {
  return Object.entries(properties).flatMap(([name, schema]) => [
    html`
      <tr>
        <td><code>${prefix}${name}</code>${required.has(name) ? raw("<sup>*</sup>") : ""}</td>
        <td>${typeText(schema)}</td>
        <td>${notes(schema)}</td>
      </tr>
    `,
    ...propertyRows(schema.properties ?? {}, new Set(schema.required ?? []), `${prefix}${name}.`),
  ]);
}

/** Description, bounds, default and example of a value in one line. */
export function notes(schema: ShownSchema): string {
  const { description, default: fallback, example, minimum, maximum } = schema;
  const facts = [
    description,
    minimum === undefined ? undefined : `At least ${minimum}.`,
    maximum === undefined ? undefined : `At most ${maximum}.`,
    fallback === undefined ? undefined : `Default: ${JSON.stringify(fallback)}.`,
    example === undefined ? undefined : `Example: ${JSON.stringify(example)}.`,
  ];
  return facts.filter((fact) => fact !== undefined).join(" ");
}
