// A bundle gives a dynamically imported CommonJS package no named exports; loading this module lazily does.
export { stringify } from "yaml";
