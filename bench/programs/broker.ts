/** The broker as its bundle begins: ends with the benchmark. */
import "../../src/demo/parent_watch.ts";
import "../../src/broker/main.ts";
