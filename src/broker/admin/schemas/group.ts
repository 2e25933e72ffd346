import { z } from "@hono/zod-openapi";
import type { Group } from "../../model.ts";
import { nameText, recordShape, toRecord } from "./record.ts";

/** A group as the API shows it. */
export const groupSchema = z.object({
  ...recordShape,
  name: z.string().openapi({ example: "Berlin" }),
}).openapi("Group");

/** What makes or renames a group. */
export const groupInput = z.strictObject({ name: nameText.openapi({ example: "Berlin" }) }).openapi(
  "GroupInput",
);

/** Writes a group. */
export function toGroup(group: Group): z.infer<typeof groupSchema> {
  return { ...toRecord(group), name: group.name };
}

/** A group in answers. */
export type GroupAnswer = z.infer<typeof groupSchema>;
