// Stands in for node:http in the bundle. An ES module that imports it makes Node.js 24 and 26 load all that it exports, fetch
// and WebSocket too: 30 ms and 13 MB at every start. With require they stay away until somebody asks for them.
// biome-ignore lint/style/useNodejsImportProtocol: with the protocol it would stand for itself
module.exports = require("http");
