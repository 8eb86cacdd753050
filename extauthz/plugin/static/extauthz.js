// The bar above MLflow's page: which project it shows, what may be done there, and the ways out.
(() => {
  "use strict";

  const STYLE = `
    :host { all: initial; display: block; height: 30px; color-scheme: inherit }
    nav {
      --text: light-dark(#11171c, #e8ecf0); --quiet: light-dark(#4f5f6b, #a9b6c2);
      --link: light-dark(#0e538b, #8acaff); --back: light-dark(#f1f4f7, #171d22);
      --line: light-dark(#d6dde3, #37444f); --mark: light-dark(#fbe8c6, #4a3812);
      --marked: light-dark(#6b3f00, #ffd88a);
      box-sizing: border-box; display: flex; align-items: center; gap: 4px; height: 100%;
      padding: 0 10px; overflow: hidden; white-space: nowrap;
      color: var(--quiet); background: var(--back); border-bottom: 1px solid var(--line);
      font: 13px/20px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
    }
    a, button, .place { padding: 1px 6px; border-radius: 4px }
    .place { min-width: 0; overflow: hidden; text-overflow: ellipsis; font-weight: 600 }
    .place:not(a) { color: var(--text) }
    .mark, .ways { flex: none }
    .ways { display: flex; gap: 4px; margin-left: auto }
    a { color: var(--link); text-decoration: none }
    a:hover { text-decoration: underline }
    button { font: inherit; color: var(--link); background: none; border: 0; cursor: pointer }
    button:hover { text-decoration: underline }
    :focus-visible { outline: 2px solid var(--link); outline-offset: -2px }
    .mark { color: var(--marked); background: var(--mark); font-size: 12px; font-weight: 600 }
    .why {
      position: fixed; inset: 34px auto auto 10px; box-sizing: border-box; margin: 0;
      max-width: min(28rem, calc(100vw - 20px)); padding: 8px 12px; white-space: normal;
      color: var(--text); background: var(--back);
      border: 1px solid var(--line); border-radius: 6px; box-shadow: 0 4px 16px #0004;
    }
    @media print { :host { display: none } }
  `;
  // MLflow fills its window by percentages all the way down, so it can be given less.
  const ROOM = "@media screen { body > #root { height: calc(100% - 30px) } }";

  // MLflow's own settings for what the server refuses: no assistant that opens by itself, nothing
  // for its makers and no notice of that. It reads them as it starts, which is after this.
  const SETTINGS = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": true,
    "mlflow.assistant.panelOpen_v1": false,
    "mlflow.settings.telemetry.enabled_v1": false,
    "mlflow.telemetry.info.alert.dismissed_v1": true,
  };
  // What else leads to nothing but a refusal. MLflow offers its assistant on local hosts only.
  const DEAD_ENDS = [
    "[data-assistant-ui]",
    '[data-component-id*="assistant"]',
    '[data-component-id$=".analyze-trace"]',
    '[data-component-id$=".analyze-button"]',
    '[role="tab"][id$="-trigger-assistant"]',
    'a[href^="#/mcp-registry"]',
    'a[href^="#/settings/llm-connections"]',
    'a[href^="#/settings/webhooks"]',
    'div:has(> [data-component-id="mlflow.home.demo-banner.launch"])',
    'div:has(> div > [data-component-id="mlflow.settings.telemetry.toggle-switch"])',
    'div:has(> div > [data-component-id="mlflow.settings.demo.clear-all-button"])',
  ];
  // What belongs to one project, and is not to be seen in all of them together.
  const ELSEWHERE = [
    'a[href^="#/experiments/"][href$="/datasets"]',
    'a[href^="#/experiments/"][href$="/review-queue"]',
  ];

  const framed = window.self !== window.top;

  const sheet = (text) => {
    const made = new CSSStyleSheet();
    made.replaceSync(text);
    return made;
  };

  const adopt = (made) => {
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, made];
  };

  const hide = (selectors) => {
    adopt(sheet(selectors.map((each) => `${each} { display: none !important }`).join("")));
  };

  const make = (tag, text, name) => {
    const made = document.createElement(tag);
    made.textContent = text;
    made.className = name || "";
    return made;
  };

  // Whatever an answer holds, a click never runs it.
  const isAddress = (text) => {
    try {
      return /^https?:$/.test(new URL(text).protocol);
    } catch {
      return false;
    }
  };

  const link = (text, address, target, name) => {
    const made = make("a", text, name);
    made.href = address;
    made.target = target;
    made.rel = "noopener noreferrer";
    return made;
  };

  const place = (view) => {
    if (!view.project) return make("span", "All projects", "place");
    if (!isAddress(view.links.project)) return make("span", view.project, "place");
    // Neither GitLab nor SharingHub lets itself be shown in a frame.
    const made = link(view.project, view.links.project, framed ? "_blank" : "", "place");
    made.title = `Open ${view.project}`;
    return made;
  };

  const mark = (why) => {
    const button = make("button", "Read only", "mark");
    const text = make("div", why, "why");
    button.type = "button";
    button.title = why;
    if (!("popoverTargetElement" in button)) return [button];
    text.popover = "auto";
    button.popoverTargetElement = text;
    text.addEventListener("beforetoggle", () => {
      const { left } = button.getBoundingClientRect();
      text.style.left = `max(10px, min(${left}px, 100vw - 29rem))`;
    });
    return [button, text];
  };

  const inFrame = () => {
    const reload = make("button", "Reload");
    reload.type = "button";
    reload.addEventListener("click", () => window.location.reload());
    const open = link("Open in new tab", window.location.href, "_blank");
    // MLflow changes the address without telling anybody.
    const update = () => {
      open.href = window.location.href;
    };
    for (const event of ["pointerdown", "focus"]) open.addEventListener(event, update);
    return [reload, open];
  };

  const host = document.createElement("extauthz-bar");
  const shadow = host.attachShadow({ mode: "open" });
  const nav = make("nav", "");
  const ways = make("div", "", "ways");
  nav.setAttribute("aria-label", "Project and session");
  shadow.adoptedStyleSheets = [sheet(STYLE)];
  shadow.append(nav);
  nav.append(ways);
  if (framed) ways.append(...inFrame());

  try {
    for (const name in SETTINGS) localStorage.setItem(name, JSON.stringify(SETTINGS[name]));
  } catch {
    // A browser that keeps nothing for us keeps nothing for MLflow.
  }
  hide(DEAD_ENDS);
  const room = sheet(ROOM);
  adopt(room);
  document.body.prepend(host);

  const show = (view) => {
    if (view.view === "global") hide(ELSEWHERE);
    ways.before(place(view), ...(view.role === "write" ? [] : mark(view.why)));
    if (isAddress(view.links.home)) ways.prepend(link("Home", view.links.home, ""));
    if (isAddress(view.links.logout)) {
      // Our page that asks about it is shown in no frame.
      const out = link("Sign out", view.links.logout, "_top");
      if (view.name) out.title = `Signed in as ${view.name}`;
      ways.append(out);
    }
  };

  const giveUp = () => {
    if (framed) return;
    host.remove();
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== room);
  };

  // After signing out, Back would bring the page from memory, with what it showed.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) window.location.reload();
  });

  fetch("extauthz/v1/view", { cache: "no-store" })
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(answer.statusText))))
    .then(show)
    .catch(giveUp);
})();
