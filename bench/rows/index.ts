import type { Row } from "../row.ts";
import { download, downloads8, upload } from "./bulk.ts";
import { delay } from "./delay.ts";
import { events } from "./events.ts";
import { grpc } from "./grpc.ts";
import { million } from "./million.ts";
import { narrow } from "./narrow.ts";
import { middle, small } from "./requests.ts";
import { stalled } from "./stalled.ts";
import { tunnels } from "./tunnels.ts";
import { websocket } from "./websocket.ts";

/** All rows, in the order in which they run and are printed. */
export const ROWS: readonly Row[] = [
  small,
  middle,
  download,
  downloads8,
  upload,
  websocket,
  grpc,
  events,
  delay,
  narrow,
  stalled,
  tunnels,
  million,
];
