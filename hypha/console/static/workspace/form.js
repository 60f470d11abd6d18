// A form for a function's arguments, made from its schema.

import { make } from "./dom.js";
import { sampleOf, typeName } from "./schema.js";

/** Raised for a field whose text cannot be sent; `field` is the input. */
export class FieldError extends Error {
  constructor(message, field) {
    super(message);
    this.field = field;
  }
}

/**
 * Fields for the parameters: `element` to show, `read()` gives the arguments by name or throws a
 * FieldError, `peek()` gives what can be read so far. Fields left empty are not sent.
 */
export function argumentForm(parameters, idPrefix) {
  const fields = parameters.map((parameter) => fieldFor(parameter, `${idPrefix}-${parameter.name.replace(/\s/g, "-")}`));
  const element = make("div", { className: "fields" }, ...fields.map((field) => field.element));
  const collect = (isStrict) => {
    const values = {};
    for (const field of fields) {
      field.complain("");
      try {
        const value = field.read();
        if (value !== undefined) values[field.name] = value;
      } catch (error) {
        if (!isStrict) continue;
        field.complain(error.message);
        throw error;
      }
    }
    return values;
  };
  return { element, read: () => collect(true), peek: () => collect(false) };
}

function fieldFor(parameter, id) {
  const input = inputFor(parameter, id);
  const hintId = `${id}-hint`, errorId = `${id}-error`;
  const hint = [parameter.description, HINTS[parameter.kind]].filter(Boolean).join(" · ");
  const error = make("p", { className: "field-error", id: errorId, hidden: true });
  input.setAttribute("aria-describedby", `${hintId} ${errorId}`);
  if (parameter.required) input.setAttribute("aria-required", "true");
  const label = make(
    "label", { for: id },
    make("code", {}, parameter.name), " ",
    make("span", { className: "type" }, typeName(parameter.schema), parameter.required ? "" : ", optional"),
  );
  const element = make("div", { className: "field" }, label, input, make("p", { className: "field-hint", id: hintId }, hint), error);
  return {
    name: parameter.name,
    element,
    read: () => valueOf(parameter, input),
    complain(text) {
      error.textContent = text;
      error.hidden = !text;
      if (text) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    },
  };
}

const HINTS = {
  json: "JSON",
  any: 'Text, or JSON such as 3, true, [1, 2]; "…" keeps text as it is',
};

function inputFor({ kind, schema, required, initial }, id) {
  const common = { id, autocomplete: "off", spellcheck: false };
  if (kind === "choice" || kind === "boolean") return selectFor(kind === "choice" ? schema.enum : [true, false], required, initial, id);
  if (kind === "integer" || kind === "number") {
    const bounds = { min: schema.minimum, max: schema.maximum };
    return make("input", { ...common, ...bounds, type: "number", step: kind === "integer" ? "1" : "any", value: initial ?? "" });
  }
  if (kind === "json") {
    const start = required || (initial ?? null) !== null ? JSON.stringify(sampleOf(schema), null, 2) : "";
    return make("textarea", { ...common, rows: Math.min(10, Math.max(2, start.split("\n").length)), value: start, className: "mono" });
  }
  const text = typeof initial === "string" ? initial : initial === undefined || initial === null ? "" : JSON.stringify(initial);
  if (kind === "any" || schema.maxLength > 200) return make("textarea", { ...common, rows: 1, value: text });
  const types = { email: "email", uri: "url", date: "date", password: "password" };
  return make("input", { ...common, type: types[schema.format] || "text", value: text });
}

function selectFor(values, required, initial, id) {
  const select = make("select", { id });
  if (!required || initial === undefined) select.append(make("option", { value: "" }, required ? "Choose" : "Not given"));
  for (const value of values) {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    select.append(make("option", { value: JSON.stringify(value), selected: value === initial }, text));
  }
  return select;
}

function valueOf({ name, kind, schema, required, initial }, input) {
  const text = input.value;
  if (text === "") {
    if (!required) return undefined;
    if (kind === "text" || kind === "any") return "";
    throw new FieldError(`${name} is needed.`, input);
  }
  if (kind === "choice" || kind === "boolean") {
    const value = JSON.parse(text);
    return !required && value === initial ? undefined : value;
  }
  if (kind === "integer" || kind === "number") return numberOf(name, kind, text, initial, required, input);
  if (kind === "json") return jsonOf(name, text, schema, input);
  if (!required && text === initial) return undefined;
  if (kind === "text") return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function numberOf(name, kind, text, initial, required, input) {
  const value = Number(text);
  if (!Number.isFinite(value)) throw new FieldError(`${name} must be a number.`, input);
  if (kind === "integer" && !Number.isInteger(value)) throw new FieldError(`${name} must be a whole number.`, input);
  return !required && value === initial ? undefined : value;
}

function jsonOf(name, text, schema, input) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FieldError(`${name} is not valid JSON: ${error.message}`, input);
  }
  if (schema.type === "array" && !Array.isArray(value)) throw new FieldError(`${name} must be a list: [ … ]`, input);
  const isMap = value && typeof value === "object" && !Array.isArray(value);
  if (schema.type === "object" && !isMap) throw new FieldError(`${name} must be a map: { … }`, input);
  return value;
}
