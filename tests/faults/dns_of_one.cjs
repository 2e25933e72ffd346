// Preloaded into one connector: the name `backend.test` leads to another address there than for everybody else.
const dns = require("node:dns");
const address = process.env.FAULT_BACKEND_ADDRESS;
const lookup = dns.lookup;
dns.lookup = function (name, options, callback) {
  if (name !== "backend.test") return lookup.call(dns, name, options, callback);
  const done = typeof options === "function" ? options : callback;
  const all = typeof options === "object" && options !== null && options.all;
  process.nextTick(() => all ? done(null, [{ address, family: 4 }]) : done(null, address, 4));
};
require("node:module").syncBuiltinESMExports();
