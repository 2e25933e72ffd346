import { createHash } from "node:crypto";
import { html, raw } from "hono/html";
import { DOCS_STYLE } from "./docs_style.ts";
import {
  type Html,
  notes,
  propertiesTable,
  schemaAnchor,
  type ShownSchema,
  typeText,
} from "./docs_schema.ts";
import type { OpenapiDocument } from "./openapi.ts";

interface Content {
  content?: Record<string, { schema?: ShownSchema }>;
}

interface Operation {
  operationId: string;
  summary: string;
  tags: string[];
  parameters?: { name: string; in: string; required?: boolean; schema?: ShownSchema; description?: string }[];
  requestBody?: Content;
  responses: Record<string, Content & { description: string }>;
}

interface Listed {
  method: string;
  path: string;
  operation: Operation;
}

/** The document for people: one page without scripts, everything on it ours. `policy` is its Content-Security-Policy. */
export function docsPage(document: OpenapiDocument): { html: Html; policy: string } {
  const styleHash = createHash("sha256").update(DOCS_STYLE).digest("base64");
  const policy =
    `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; frame-ancestors 'none'`;
  const base = document.servers?.[0]?.url ?? "";
  const listed = operations(document);
  const schemas = Object.entries((document.components?.schemas ?? {}) as Record<string, ShownSchema>);
  const tags = (document.tags ?? []).map(({ name, description }) => ({
    name,
    description: description ?? "",
  }));
  const page = html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width,initial-scale=1">
        <title>${document.info.title}</title>
        <style>${raw(DOCS_STYLE)}</style>
      </head>
      <body>
        <div class="page">
          <nav><strong>${document.info.title}</strong>${tags.map(({ name }) =>
            html`<a href="#${anchor(name)}">${name}</a>${
              listed.filter(({ operation }) => operation.tags.includes(name)).map(({ operation }) =>
                html`<a class="sub" href="#${operation.operationId}">${operation.summary.split(";")[0]}</a>`
              )
            }`
          )}<a href="#schemas">Schemas</a></nav>
          <main><h1>${document.info.title}</h1><p class="soft">Version ${document.info.version}, below
    <code>${base}</code>. The same as a document: <a href="${base}/openapi.json">OpenAPI 3.1</a>.</p>
    <p>${prose(document.info.description ?? "")}</p>${tags.map(({ name, description }) =>
      html`<section id="${anchor(name)}"><h2>${name}</h2><p class="soft">${description}</p>${
        listed.filter(({ operation }) => operation.tags.includes(name)).map((item) =>
          operationHtml(base, item)
        )
      }</section>`
    )}<section id="schemas"><h2>Schemas</h2><p class="soft"><sup>*</sup> always there, or needed in a request</p>${schemas
      .map(([name, schema]) =>
        html`<h3 id="${schemaAnchor(name)}">${name}</h3>${propertiesTable(schema)}`
      )}</section></main>
        </div>
      </body>
    </html>
  `;
  return { html: page, policy };
}

function operations(document: OpenapiDocument): Listed[] {
  return Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item as Record<string, Operation>).map(([method, operation]) => ({
      method,
      path,
      operation,
    }))
  );
}

function operationHtml(base: string, { method, path, operation }: Listed): Html {
  const { operationId, summary, parameters, requestBody, responses } = operation;
  const body = schemaOf(requestBody);
  return html`
    <details>
      <summary><span class="method ${method}">${method}</span><code>${base}${path}</code><span
    class="soft">${summary}</span></summary>
      <div class="body"
        id="${operationId}">${parameters === undefined ? "" : html`
          <h3>Parameters</h3>
          <table>
            <thead>
              <tr>
                <th>name</th>
                <th>in</th>
                <th>type</th>
                <th>meaning</th>
              </tr>
            </thead>
            <tbody>${parameters.map((parameter) =>
              html`
                <tr>
                  <td><code>${parameter.name}</code>${parameter.required === true
                    ? raw("<sup>*</sup>")
                    : ""}</td>
                  <td>${parameter.in}</td>
                  <td>${typeText(parameter.schema)}</td>
                  <td>${notes({ description: parameter.description, ...parameter.schema })}</td>
                </tr>
              `
            )}</tbody>
          </table>
        `}${body === undefined ? "" : html`
          <h3>Body</h3>
          <p>${typeText(body)}</p>
        `}<h3>Answers</h3><table><tbody>${Object.entries(responses).map(([status, response]) => {
          const schema = schemaOf(response);
          return html`
            <tr>
              <td><code>${status}</code></td>
              <td>${response.description}</td>
              <td>${schema === undefined ? "" : typeText(schema)}</td>
            </tr>
          `;
        })}</tbody></table></div>
    </details>
  `;
}

/** Text in which backticks mark code. */
function prose(text: string): Html[] {
  return text.split("`").map((part, index) => index % 2 === 1 ? html`<code>${part}</code>` : html`${part}`);
}

const schemaOf = (content: Content | undefined) => Object.values(content?.content ?? {})[0]?.schema;

const anchor = (name: string) => name.toLowerCase().replaceAll(" ", "-");
