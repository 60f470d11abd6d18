// Who is signed in: a token in this tab's storage, or the cookie of the server's own pages.

const KEY = "hypha.token";
const basePath = document.body.dataset.basePath;
const ASK_EVERY_MS = 1000;
const LOGIN = `${basePath}/public/services/hypha-login`;

/** Tells the server that a script of its own pages asks: only then does the session's cookie count. */
export const PAGE_HEADERS = { "x-hypha-page": "1" };

/** The token of this tab, or an empty string. */
export function token() {
  try {
    return sessionStorage.getItem(KEY) || "";
  } catch {
    return "";
  }
}

export function keepToken(text) {
  sessionStorage.setItem(KEY, text.trim());
}

export function forgetToken() {
  sessionStorage.removeItem(KEY);
}

/** True if this server has a sign-in page. */
export async function canSignIn() {
  const answer = await fetch(LOGIN).catch(() => null);
  return Boolean(answer && answer.ok);
}

/** Sign in on the server's own page, in a window of its own; resolves with the token. */
export async function signIn(signal) {
  const popup = window.open("", "_blank", "popup,width=520,height=760");
  if (!popup) throw new Error("The browser did not open the sign-in window: allow it, or paste a token.");
  try {
    const { login_url: url, key } = await post("start", {});
    popup.location = `${url}&mode=popup`;
    for (let wasClosed = false; ; ) {
      await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
      if (signal.aborted) throw new Error("Signing in was stopped.");
      const found = await post("check", { key, timeout: 0 });
      if (found) return found;
      if (wasClosed) throw new Error("The sign-in window was closed.");
      wasClosed = popup.closed; // ask once more: it may have closed because all was done
    }
  } finally {
    popup.close();
  }
}

async function post(name, args) {
  const answer = await fetch(`${LOGIN}/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...PAGE_HEADERS },
    body: JSON.stringify(args),
  });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail || `The server answered ${answer.status}.`);
  return body;
}
