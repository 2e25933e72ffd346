/** The connector as its bundle begins: ends with the benchmark. */
import "../../src/demo/parent_watch.ts";
import "../../src/connector/main.ts";
