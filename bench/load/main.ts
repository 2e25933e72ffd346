/** The clients that wrk cannot play. Runs as a worker: see `../stage/load.ts`. */
import { serveCalls } from "../stage/serve_calls.ts";
import { burst } from "./burst.ts";
import { download } from "./download.ts";
import { probe } from "./probe.ts";
import { slowReaders, stopSlowReaders } from "./slow_readers.ts";
import { upload } from "./upload.ts";
import { dropWebsockets, websockets } from "./websockets.ts";

serveCalls({ burst, download, probe, slowReaders, stopSlowReaders, upload, websockets, dropWebsockets });
