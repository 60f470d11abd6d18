// A real OpenID Connect server in memory, with the addresses of an Auth0 tenant, on 127.0.0.1 only.
// Its own development pages sign anybody in. POST /test/... makes it misbehave, with its real keys:
//   /test/fault   {claims, header, drop, key}  change every id_token from now on ({} stops that)
//   /test/clock   {offset}                     its clock is off by so many seconds
//   /test/rotate  {}                           new signing keys; the old ones are gone
//   /test/sign    {claims, header, key}        a token as asked for; key: "current", "old", "other"
//   /test/counts  {}                           requests per path so far
// GET /test/github/user and /emails answer like GitHub's interface, for access tokens of this server.
import http from "node:http";
import * as jose from "jose";
import Provider from "oidc-provider";

const port = Number(process.argv[2]);
const audience = process.argv[3];
const namespace = "https://amun.ai/";
const issuer = `http://127.0.0.1:${port}/`;
const realNow = Date.now;
let offset = 0;
Date.now = () => realNow() + offset * 1000;

let fault = {};
let generation = 0;
const counts = {};
const keys = { old: null, current: null, other: await newKeys("other") };
let handler;

async function newKeys(name) {
  const made = {};
  for (const alg of ["RS256", "ES256"]) {
    const { privateKey } = await jose.generateKeyPair(alg, { extractable: true });
    made[alg] = { ...(await jose.exportJWK(privateKey)), kid: `${alg}-${name}`, alg, use: "sig" };
  }
  return made;
}

async function rotate() {
  keys.old = keys.current;
  keys.current = await newKeys(`${++generation}`);
  handler = newProvider().callback();
}

async function sign({ claims = {}, header = {}, key = "current", drop = [] }, base = {}) {
  const alg = header.alg ?? "RS256";
  const body = { ...base, ...claims };
  for (const name of drop) delete body[name];
  if (alg === "none") {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    return `${part({ alg, typ: "JWT", ...header })}.${part(body)}.`;
  }
  if (alg === "HS256") {
    // the confusion attack: the public key as the secret
    const { kty, n, e } = keys.current.RS256;
    const pem = await jose.exportSPKI(await jose.importJWK({ kty, n, e }, "RS256"));
    return new jose.SignJWT(body).setProtectedHeader({ alg, kid: keys.current.RS256.kid, ...header })
      .sign(new TextEncoder().encode(pem));
  }
  const jwk = keys[key][alg];
  const kid = key === "other" ? keys.current[alg].kid : jwk.kid;
  return new jose.SignJWT(body).setProtectedHeader({ alg, kid, ...header }).sign(await jose.importJWK(jwk, alg));
}

const hasFault = () => Object.keys(fault).length > 0;

function newProvider() {
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "hypha-test",
      client_secret: "a-secret-of-the-client-that-is-long-enough",
      redirect_uris: (process.argv[4] ?? "").split(","),
      grant_types: ["authorization_code"],
      response_types: ["code"],
    }],
    jwks: { keys: [keys.current.RS256, keys.current.ES256] },
    cookies: { keys: ["only for tests"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "nickname", "roles"] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    routes: {
      authorization: "/authorize", token: "/oauth/token", userinfo: "/userinfo", jwks: "/.well-known/jwks.json",
    },
    ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Interaction: 600, Session: 600, Grant: 600 },
    features: {
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => false,
        getResourceServerInfo: () => ({
          scope: "openid profile email", audience, accessTokenTTL: 600, accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
    extraTokenClaims: () => ({
      [`${namespace}roles`]: ["scientist", "admin"], [`${namespace}email`]: "ann@lab.example",
      [`${namespace}email_verified`]: true,
    }),
    findAccount: (ctx, id) => ({
      accountId: id,
      claims: () => ({
        sub: id, name: "Ann of the Lab", nickname: "ann", roles: ["scientist", "admin", "boss"],
        email: `${id.replace(/[^a-z0-9]/gi, ".")}@lab.example`, email_verified: !id.includes("unverified"),
      }),
    }),
  });
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.path === "/oauth/token" && ctx.body?.id_token && hasFault()) {
      ctx.body.id_token = await sign(fault, jose.decodeJwt(ctx.body.id_token));
    }
  });
  return provider;
}

const tests = {
  "/test/fault": async (wanted) => { fault = wanted; },
  "/test/clock": async (wanted) => { offset = wanted.offset; },
  "/test/rotate": rotate,
  "/test/sign": async (wanted) => {
    const now = Math.floor(Date.now() / 1000);
    return { token: await sign(wanted, { iss: issuer, aud: audience, iat: now, exp: now + 600 }) };
  },
  "/test/counts": async () => counts,
};

async function github(path, request, response) {
  const known = await fetch(`${issuer}userinfo`, { headers: { authorization: request.headers.authorization ?? "" } });
  response.statusCode = known.status;
  response.setHeader("content-type", "application/json");
  const { sub } = await known.json();
  response.end(JSON.stringify(path.endsWith("/user")
    ? { id: 583231, login: sub, name: "Octo", email: "shown@lab.example" }
    : [{ email: `${sub}@lab.example`, primary: true, verified: true }]));
}

await rotate();
http.createServer(async (request, response) => {
  const path = request.url.split("?")[0];
  if (!path.startsWith("/test/")) {
    counts[path] = (counts[path] ?? 0) + 1;
    return handler(request, response);
  }
  if (path.startsWith("/test/github/")) return github(path, request, response);
  let body = "";
  for await (const part of request) body += part;
  const answer = (await tests[path](JSON.parse(body || "{}"))) ?? {};
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(answer));
}).listen(port, "127.0.0.1", () => console.log("ready"));
