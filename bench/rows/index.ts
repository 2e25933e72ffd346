import type { Row } from "../row.ts";
import { download, downloads8, upload } from "./bulk.ts";
import { middle, small } from "./requests.ts";

/** All rows, in the order in which they run and are printed. */
export const ROWS: readonly Row[] = [small, middle, download, downloads8, upload];
