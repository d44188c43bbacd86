import { expect, test } from "vitest";
import type { Outcome } from "../model/outcomes.ts";
import { Outcomes } from "./outcomes.ts";
import { RowFaults } from "./row-faults.ts";

const fault = (owner: string, message: string): Outcome => ({ owner, code: "full", message, severity: "error" });

function bench() {
  const outcomes = new Outcomes();
  const faults = new RowFaults("t", outcomes);
  const told = () => outcomes.all().map(({ owner, message }) => `${owner}: ${message}`);
  return { outcomes, faults, told };
}

test("an owner of many rows that fail is told once, with the first", () => {
  const { outcomes, faults, told } = bench();
  for (let row = 0; row < 1000; row++) faults.set(`${row}`, fault("a", `row ${row}`));
  faults.set("x", fault("b", "row x"));
  expect(told()).toEqual(["a: row 0", "b: row x"]);
  const { revision } = outcomes;
  for (let row = 1; row < 999; row++) faults.set(`${row}`, undefined);
  expect([told(), outcomes.revision]).toEqual([["a: row 0", "b: row x"], revision]);
});

test("it is told until its last row is in force", () => {
  const { faults, told } = bench();
  for (const row of ["1", "2"]) faults.set(row, fault("a", `row ${row}`));
  faults.set("1", undefined);
  expect(told()).toEqual(["a: row 2"]);
  faults.set("2", fault("a", "another reason"));
  expect(told()).toEqual(["a: another reason"]);
  faults.set("2", undefined);
  faults.set("2", undefined);
  expect(told()).toEqual([]);
});

test("a row that another owner has now is that owner's", () => {
  const { faults, told } = bench();
  faults.set("1", fault("a", "row 1"));
  faults.set("1", fault("b", "row 1"));
  expect(told()).toEqual(["b: row 1"]);
});
