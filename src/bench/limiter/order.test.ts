import { expect, test } from "vitest";
import { allOrders, judgeOrder, type OrderResult, orderName } from "./order.ts";
import { allSizes, judgeSize, sizeName } from "./sizes.ts";

test("cases have unique names", () => {
  const names = [...allOrders().map(orderName), ...allSizes().map(sizeName)];
  expect(new Set(names).size).toBe(names.length);
});

const fragments: OrderResult = {
  name: "one",
  rate: 10e6,
  direction: "egress",
  where: "same",
  sizes: [3000],
  times: 1.3,
  whole: 0.8,
  sent: 100,
  received: 80,
  late: 0,
  farthest: 0,
  share: 0.81,
  others: { sent: 9, received: 9 },
};
test.each([
  ["all in order and whole", {}, ["holds", "holds", "holds"]],
  ["one late", { late: 1, farthest: 3 }, ["misses", "holds", "holds"]],
  ["nothing came", { received: 0, share: 0 }, ["misses", "misses", "holds"]],
  ["too little whole", { share: 0.79 }, ["holds", "misses", "holds"]],
  ["another pod's lost", { others: { sent: 9, received: 8 } }, ["holds", "holds", "misses"]],
  ["order alone", { whole: undefined, others: null }, ["holds"]],
])("%s", (_, change, verdicts) => {
  expect(judgeOrder({ ...fragments, ...change }).map(({ verdict }) => verdict)).toEqual(verdicts);
});

test.each([
  ["exact", { counted: 10.05e6, received: 9.95e6 }, "holds"],
  ["too little", { counted: 9.8e6, received: 9.8e6 }, "misses"],
  ["counted and not received", { counted: 10e6, received: 9.8e6 }, "misses"],
  ["a sender that is too slow", { counted: 9e6, received: 9e6, offered: 9e6 }, "shown"],
  ["too little for a sender that offers more", { counted: 9e6, received: 9e6, offered: 9e6, pressed: true }, "misses"],
])("a size whose rate is %s", (_, change, verdict) => {
  const one = { name: "one", bytes: 64, rate: 10e6, direction: "egress" as const, offered: 13e6, pressed: false };
  expect(judgeSize({ ...one, ...change }).verdict).toBe(verdict);
});
