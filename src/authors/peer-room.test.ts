import { expect, test } from "vitest";
import { Store } from "../store/store.ts";
import { PEER_ROWS, PeerRoom } from "./peer-room.ts";

function bench() {
  const store = new Store(0);
  const demands = store.source<number>("demands");
  const room = store.step("room", (place) => new PeerRoom("room", place, demands));
  const refused = () => {
    store.settle(0);
    return room.keys();
  };
  return { demands, refused };
}

test("the greedy find no room, whatever their names, and others are not touched", () => {
  const { demands, refused } = bench();
  for (let one = 0; one < 100; one++) demands.set(`ns/small-${one}`, 1000);
  expect(refused()).toEqual([]);
  for (let one = 0; one < 3; one++) demands.set(`a/greedy-${one}`, PEER_ROWS - 100_000);
  expect(refused()).toEqual(["a/greedy-1", "a/greedy-2"]);
  demands.set("z/new", 1000);
  expect(refused()).toEqual(["a/greedy-0", "a/greedy-1", "a/greedy-2"]);
});

test("one that found no room has it when there is some", () => {
  const { demands, refused } = bench();
  demands.set("a", PEER_ROWS);
  demands.set("b", PEER_ROWS);
  expect(refused()).toEqual(["b"]);
  demands.delete("a");
  expect(refused()).toEqual([]);
  demands.set("c", PEER_ROWS + 1);
  expect(refused()).toEqual(["c"]);
});
