// Check manifests (a JSON list on standard input) with the schemas in a folder of node packages:
//   node check.mjs FOLDER < manifests.json
// Prints a JSON list of what is wrong. The schemas let unknown fields pass, which an API server
// drops: a field whose value no check has looked at is unknown.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const PACKAGES = {
  "gateway.networking.k8s.io": "gateway-api",
  "monitoring.coreos.com": "prometheus-operator",
  "networking.istio.io": "istio",
  "security.istio.io": "istio",
};
// Other schemas know these.
const KNOWN = new Set(["apiVersion", "kind", "metadata"]);

function watched(value, path, seen) {
  if (value === null || typeof value !== "object") return value;
  return new Proxy(value, {
    get(target, key) {
      const found = target[key];
      if (typeof key !== "string" || !Object.hasOwn(target, key)) return found;
      const where = `${path}/${key}`;
      seen.add(where);
      return watched(found, where, seen);
    },
  });
}

function* fields(value, path = "") {
  if (value === null || typeof value !== "object") return;
  for (const [key, inner] of Object.entries(value)) {
    if (!path && KNOWN.has(key)) continue;
    yield `${path}/${key}`;
    yield* fields(inner, `${path}/${key}`);
  }
}

async function problems(manifest, folder) {
  const [group, version] = manifest.apiVersion.split("/");
  const name = `${manifest.kind} ${manifest.metadata.name}`;
  if (!(group in PACKAGES)) return [`${name}: no schema for ${group}`];
  const at = join(folder, "node_modules/@kubernetes-models", PACKAGES[group], group, version);
  const model = (await import(pathToFileURL(join(at, `${manifest.kind}.js`))))[manifest.kind];
  const seen = new Set();
  try {
    // Not of an instance: that would have copied, and so looked at, everything.
    model.prototype.validate.call(watched(manifest, "", seen));
  } catch (error) {
    return [`${name}: ${error.message}`];
  }
  const unknown = [...fields(manifest)].filter((path) => !seen.has(path));
  return unknown.map((path) => `${name}: ${path} is unknown`);
}

const folder = resolve(process.argv[2]);
const found = [];
for (const manifest of JSON.parse(readFileSync(0, "utf8"))) {
  found.push(...(await problems(manifest, folder)));
}
console.log(JSON.stringify(found));
