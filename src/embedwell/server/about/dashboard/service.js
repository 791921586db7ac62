// How the page asks the service: with the key where there is one.

const KEY = "embedwell.key";

export const setKey = (key) => sessionStorage.setItem(KEY, key);
export const forgetKey = () => sessionStorage.removeItem(KEY);

function headers() {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function sent(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: { ...headers(), ...options.headers } });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, said.error ? `${said.error.problem} ${said.error.remedy}` : `Status ${answer.status}.`);
}

export async function ask(path, method = "GET", body = undefined) {
  const type = { "Content-Type": "application/json" };
  const options = body === undefined ? { method } : { method, body: JSON.stringify(body), headers: type };
  return (await sent(path, options)).json();
}

// Server-sent events through fetch, since EventSource cannot send a key.
export async function listen(path, onOpen, onEvent) {
  const answer = await sent(path, { headers: { Accept: "text/event-stream" } });
  onOpen();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (kept + value).split("\n\n");
    kept = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      const kind = block.split("\n").find((line) => line.startsWith("event: "));
      if (data.length) onEvent(kind ? kind.slice(7) : "message", JSON.parse(data.join("\n")));
    }
  }
}
