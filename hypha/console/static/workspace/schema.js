// Reading the schemas that services were registered with. They are a stranger's data: nothing is taken for granted.

const NAMES = { str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array" };
const MAX_DEPTH = 8;

/** All functions of a service: [{ path, schema }], nested ones with dots. */
export function functionsOf(schema, prefix = "", depth = 0) {
  const found = [];
  if (!schema || typeof schema !== "object" || depth > MAX_DEPTH) return found;
  for (const [name, part] of Object.entries(schema)) {
    if (!part || typeof part !== "object" || /[./]/.test(name) || name.startsWith("_")) continue;
    if (part.type === "function") found.push({ path: prefix + name, schema: part.function || {} });
    else found.push(...functionsOf(part, `${prefix}${name}.`, depth + 1));
  }
  return found;
}

/** The parameters of a function: [{ name, kind, schema, required, description, initial }]. */
export function parametersOf(schema, hidesContext) {
  const parameters = (schema && schema.parameters) || {};
  const properties = parameters.properties && typeof parameters.properties === "object" ? parameters.properties : {};
  const required = Array.isArray(parameters.required) ? parameters.required : [];
  const definitions = parameters.$defs || parameters.definitions || {};
  return Object.entries(properties)
    .filter(([name]) => !(hidesContext && name === "context"))
    .map(([name, given]) => describe(name, expand(given, definitions), required.includes(name)));
}

/** A schema with its references followed, and without the wrappings of "or nothing", a few levels deep. */
function expand(given, definitions, depth = 0) {
  if (!given || typeof given !== "object" || depth > MAX_DEPTH) return {};
  let schema = given;
  for (let step = 0; step < MAX_DEPTH; step++) {
    const inner = innerOf(schema, definitions);
    if (!inner) break;
    const { $ref, anyOf, oneOf, allOf, ...outer } = schema;
    schema = { ...inner, ...outer };
  }
  const result = { ...schema };
  if ("const" in result && !Array.isArray(result.enum)) result.enum = [result.const];
  if (result.items) result.items = expand(result.items, definitions, depth + 1);
  if (result.properties && typeof result.properties === "object") {
    const parts = Object.entries(result.properties);
    result.properties = Object.fromEntries(parts.map(([name, part]) => [name, expand(part, definitions, depth + 1)]));
  }
  return result;
}

/** What a reference points to, or the one kind of value that is left when "nothing" is taken away. */
function innerOf(schema, definitions) {
  if (typeof schema.$ref === "string") return Object.hasOwn(definitions, refName(schema)) ? definitions[refName(schema)] : {};
  for (const word of ["anyOf", "oneOf", "allOf"]) {
    if (!Array.isArray(schema[word])) continue;
    const rest = schema[word].filter((part) => part && typeof part === "object" && part.type !== "null");
    if (rest.length === 1) return rest[0];
  }
  return null;
}

const refName = (schema) => schema.$ref.split("/").pop();

function describe(name, schema, required) {
  const description = typeof schema.description === "string" ? schema.description : "";
  return { name, kind: kindOf(schema), schema, required, description, initial: schema.default };
}

/** How a value is typed in: text, integer, number, boolean, choice, json, or any (text or JSON). */
export function kindOf(schema) {
  if (Array.isArray(schema.enum) && schema.enum.length) return "choice";
  const types = (Array.isArray(schema.type) ? schema.type : [schema.type]).map((type) => NAMES[type] || type);
  const rest = types.filter((type) => type !== "null");
  const [only] = rest;
  if (rest.length !== 1 || !only) return "any";
  // the Python client says `string` of whatever has no simple annotation
  const isAutomatic = Object.keys(schema).join() === "type,description";
  if (only === "string") return isAutomatic ? "any" : "text";
  if (only === "integer" || only === "number" || only === "boolean") return only;
  return only === "object" || only === "array" ? "json" : "any";
}

/** A type in one word or two, to show beside a name. */
export function typeName(schema) {
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => JSON.stringify(value)).join(" | ").slice(0, 60);
  const types = Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type;
  const text = typeof types === "string" ? types : "any";
  const items = schema.items && typeof schema.items.type === "string" ? ` of ${schema.items.type}s` : "";
  return kindOf(schema) === "any" ? "any" : text + items;
}

/** A value to begin with where JSON is asked for. */
export function sampleOf(schema, depth = 0) {
  if (schema.default !== undefined && schema.default !== null) return schema.default;
  if (Array.isArray(schema.examples) && schema.examples.length) return schema.examples[0];
  if (Array.isArray(schema.enum)) return schema.enum[0];
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === "array") return schema.items && depth < 4 ? [sampleOf(schema.items, depth + 1)] : [];
  if (type === "object") {
    const wanted = Array.isArray(schema.required) ? schema.required : [];
    const known = schema.properties || {};
    return Object.fromEntries(wanted.filter((name) => known[name] && depth < 4).map((name) => [name, sampleOf(known[name], depth + 1)]));
  }
  return { string: "text", integer: 0, number: 0, boolean: false }[type] ?? null;
}
