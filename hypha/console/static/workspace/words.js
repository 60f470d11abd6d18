// How sizes, paths and counts are said.

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];

/** A size as people read it. */
export function sizeText(bytes) {
  let size = Number(bytes) || 0, unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit ? size.toFixed(size < 10 ? 1 : 0) : size} ${UNITS[unit]}`;
}

export const countText = (count, word) => `${Number(count).toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

/** A path in an address, its slashes kept. */
export const inAddress = (path) => path.split("/").map(encodeURIComponent).join("/");

/** Folder and name of a path. */
export function splitPath(path) {
  const at = path.lastIndexOf("/") + 1;
  return [path.slice(0, at), path.slice(at)];
}

/** What an artifact is called. */
export const nameOf = (artifact) => (typeof artifact.manifest?.name === "string" && artifact.manifest.name) || artifact.alias;
