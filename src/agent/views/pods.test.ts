import { expect, test } from "vitest";
import { reduceRules } from "../../model/limits.ts";
import { problemsOf } from "./pods.ts";

const annotations = { bandwidth: "30 mbps ingress", "kubernetes.io/ingress-bandwidth": "10M" };
const pod = { name: "p", namespace: "n", uid: "u", labels: {}, annotations };

test("a rule that another one comes before stays a warning: what is written first is in force", () => {
  const { problems } = reduceRules(undefined, pod);
  expect(problemsOf(problems, "n/p")).toMatchObject([{ severity: "warning" }]);
});
