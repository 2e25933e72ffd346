import assert from "node:assert/strict";
import { test } from "node:test";
import { adminFixture } from "../../../support/admin_fixture.ts";

// deno-lint-ignore no-explicit-any -- the document is walked as plain JSON
type Json = any;

async function document(t: Parameters<typeof adminFixture>[0]): Promise<{ doc: Json; routes: string[] }> {
  const { app } = await adminFixture(t);
  const response = await app.request("/api/v1/openapi.json");
  assert.equal(response.status, 200);
  const routes = app.routes.filter(({ path, method }) => path.startsWith("/api/v1/") && method !== "ALL")
    .map(({ path, method }) => `${method} ${path.replace("/api/v1", "").replace(/:(\w+)/g, "{$1}")}`);
  return { doc: await response.json(), routes: [...new Set(routes)] };
}

function* walk(value: Json, path: string[] = []): Generator<{ value: Json; path: string[] }> {
  yield { value, path };
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) yield* walk(inner, [...path, key]);
}

test("OpenAPI: a 3.1 document whose references all lead somewhere", async (t) => {
  const { doc } = await document(t);
  assert.match(doc.openapi, /^3\.1\.\d+$/);
  assert.ok(doc.info.title && doc.info.version);
  for (const { value, path } of walk(doc)) {
    if (typeof value?.$ref !== "string") continue;
    assert.match(value.$ref, /^#\//);
    const target = value.$ref.slice(2).split("/").reduce((at: Json, key: string) => at?.[key], doc);
    assert.notEqual(target, undefined, `${path.join("/")}: ${value.$ref}`);
  }
  assert.equal(doc.components.securitySchemes.bearer.scheme, "bearer");
  assert.deepEqual(doc.security, [{ bearer: [] }]);
});

test("OpenAPI: it says every route of the API and no other", async (t) => {
  const { doc, routes } = await document(t);
  const documented = Object.entries<Json>(doc.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`)
  );
  const real = routes.filter((route) => !["GET /openapi.json", "GET /docs"].includes(route));
  assert.deepEqual(documented.sort(), real.sort());
});

test("OpenAPI: operations have unique ids, tags, answers, and declare the parameters of their path", async (t) => {
  const { doc } = await document(t);
  const ids = new Set<string>();
  const tags = new Set(doc.tags.map(({ name }: Json) => name));
  for (const [path, item] of Object.entries<Json>(doc.paths)) {
    for (const [method, operation] of Object.entries<Json>(item)) {
      const where = `${method} ${path}`;
      assert.ok(operation.operationId && !ids.has(operation.operationId), where);
      ids.add(operation.operationId);
      assert.ok(operation.summary && operation.tags.every((tag: string) => tags.has(tag)), where);
      const inPath = (operation.parameters ?? []).filter((p: Json) => p.in === "path");
      assert.deepEqual(
        inPath.map((p: Json) => p.name),
        [...path.matchAll(/\{(\w+)\}/g)].map((m) => m[1]),
        where,
      );
      assert.ok(inPath.every((p: Json) => p.required === true), where);
      for (const parameter of operation.parameters ?? []) {
        assert.ok(parameter.schema && parameter.name, where);
      }
      assert.ok(Object.keys(operation.responses).some((status) => /^2\d\d$/.test(status)), where);
      assert.ok(operation.responses[401].content["application/problem+json"], where);
      for (const [status, response] of Object.entries<Json>(operation.responses)) {
        assert.match(status, /^[1-5]\d\d$/);
        assert.equal(typeof response.description, "string", where);
      }
      if (method === "get" || method === "delete") assert.equal(operation.requestBody, undefined, where);
      else {assert.ok(
          operation.requestBody.required && operation.requestBody.content["application/json"],
          where,
        );}
    }
  }
});

test("OpenAPI: every schema uses words of JSON Schema in their right shapes; bodies refuse unknown keys", async (t) => {
  const { doc } = await document(t);
  const types = ["string", "number", "integer", "boolean", "object", "array", "null"];
  for (const { value, path } of walk(doc.components.schemas)) {
    const key = path.at(-1);
    const isKeyword = path.at(-2) !== "properties" && !["example", "default"].includes(path.at(-2) ?? "");
    if (key === "type" && isKeyword) {
      for (const type of [value].flat()) assert.ok(types.includes(type), path.join("/"));
    }
    if (key === "required" && isKeyword) assert.ok(Array.isArray(value), path.join("/"));
    // 3.0's spelling of what 3.1 says with a type list.
    if (key === "nullable" && isKeyword) assert.fail(path.join("/"));
  }
  for (const name of ["AppInput", "AppPatch", "GroupInput", "ConnectorPatch", "SettingsPatch"]) {
    assert.equal(doc.components.schemas[name].additionalProperties, false, name);
  }
});

test("docs page: shows every operation, without scripts and without anything from elsewhere", async (t) => {
  const { app } = await adminFixture(t);
  const { doc } = await document(t);
  const response = await app.request("/api/v1/docs");
  assert.match(response.headers.get("content-type")!, /^text\/html/);
  assert.match(response.headers.get("content-security-policy")!, /^default-src 'none'; style-src 'sha256-/);
  const page = await response.text();
  assert.ok(!/<script|<link|<img|javascript:| style=| on\w+=/i.test(page));
  assert.ok(!/(src|href)="(https?:)?\/\//i.test(page));
  for (const item of Object.values<Json>(doc.paths)) {
    for (const { operationId } of Object.values<Json>(item)) {
      assert.ok(page.includes(`id="${operationId}"`), operationId);
    }
  }
  const targets = new Set([...page.matchAll(/ id="([^"]+)"/g)].map((m) => m[1]));
  for (const [, target] of page.matchAll(/href="#([^"]+)"/g)) assert.ok(targets.has(target), target);
});
