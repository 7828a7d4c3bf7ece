// A connection that breaks in the middle of a stream: with `resumable` the client reads on behind the last event it has.
// The cut is made by a proxy within this program.
import { MoesaicClient } from "moesaic";
import { connect, createServer } from "node:net";

const endpoint = process.env.MOESAIC_ENDPOINT ?? "127.0.0.1:50051";
const request = { tokenIds: [1, 2, 3], sampling: { temperature: 0, ignoreEos: true, maxTokens: 200 } };

const sockets = new Set();
const proxy = createServer((near) => {
  const far = connect({ port: Number(endpoint.split(":").at(-1)), host: endpoint.slice(0, endpoint.lastIndexOf(":")) });
  near.pipe(far).pipe(near);
  for (const socket of [near, far]) {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => [near, far].forEach((end) => end.destroy()));
  }
});
await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));

const direct = new MoesaicClient({ endpoint });
const expected = (await direct.complete(request)).choices[0].tokenIds;
direct.close();

const client = new MoesaicClient({ endpoint: `127.0.0.1:${proxy.address().port}` });
const received = [];
let numCuts = 0;
for await (const event of client.generate({ ...request, resumable: true })) {
  if (event.type !== "delta") continue;
  received.push(...event.tokenIds);
  if (received.length < 20 || numCuts > 0) continue;
  numCuts += 1;
  for (const socket of sockets) socket.destroy();
}
client.close();
proxy.close();
const isSame = received.length === expected.length && received.every((tokenId, index) => tokenId === expected[index]);
process.stdout.write(
  `${received.length} tokens, ${numCuts} cut, ${isSame ? "the same as without" : "NOT the same as without"}\n`,
);
