"""The one style of our pages.

Browsers apply it only if its digest is the one in the security policy; a test compares them.
"""

from typing import Final

# base64 of the SHA-256 of STYLE, every byte of it
STYLE_DIGEST: Final = "s04+BqUdncFwjAbSqrY3J3ZHUZrTPg5gZM2gMqgoHww="

STYLE: Final = """
:root {
  color-scheme: light dark;
  --page: #f3f5f8; --card: #ffffff; --raised: #edf2f8; --line: #d9dfe6; --edge: #7c8896;
  --text: #1b2128; --quiet: #566270; --accent: #0b5cad; --pressed: #084883; --on-accent: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1217; --card: #171c23; --raised: #1f2732; --line: #2e3641; --edge: #687585;
    --text: #e7ecf2; --quiet: #9ba7b4; --accent: #7fb8f5; --pressed: #a9d0fa; --on-accent: #0b1a2b;
  }
}
* { box-sizing: border-box }
html { font: 100%/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif }
body {
  display: flex; flex-direction: column; justify-content: center;
  min-height: 100vh; max-width: 36rem; margin: 0 auto; padding: 1.5rem 1rem 4rem;
  color: var(--text); background: var(--page); overflow-wrap: anywhere;
}
header {
  display: flex; align-items: center; justify-content: space-between; min-height: 2.5rem;
  margin-bottom: .75rem; padding: 0 .25rem;
}
header p { display: flex; align-items: center; gap: .5em; margin: 0; font-weight: 650 }
header p::before {
  content: ""; width: .8em; height: .8em; border: .2em solid var(--accent); border-radius: 50%;
}
main {
  padding: clamp(1.5rem, 6vw, 2.5rem); background: var(--card);
  border: 1px solid var(--line); border-radius: .875rem;
}
h1 { margin: 0 0 .75rem; font-size: 1.5rem; line-height: 1.25; letter-spacing: -.015em }
main p { margin: 0 0 1rem }
main > :last-child { margin-bottom: 0 }
bdi { font-weight: 600 }
.quiet { color: var(--quiet); font-size: .875rem }
.foot { margin-top: 1.75rem; padding-top: 1rem; border-top: 1px solid var(--line) }
a { color: var(--accent); text-underline-offset: .15em }
a:hover { color: var(--pressed) }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.5rem 0 }
button, .actions a {
  display: block; padding: .6rem 1.25rem; font: inherit; font-weight: 600; text-align: center;
  text-decoration: none; cursor: pointer; color: var(--on-accent); background: var(--accent);
  border: 1px solid transparent; border-radius: .5rem;
}
button:hover, .actions a:hover { color: var(--on-accent); background: var(--pressed) }
header button, .second a, .actions form + a {
  color: var(--text); background: var(--card); border-color: var(--edge);
}
header button:hover, .second a:hover, .actions form + a:hover {
  color: var(--text); background: var(--raised);
}
header button { padding: .3rem .8rem; font-size: .875rem }
ul { list-style: none; margin: 0; padding: 0 }
li + li { border-top: 1px solid var(--line) }
li a {
  display: block; margin: 0 -.75rem; padding: .7rem .75rem; border-radius: .5rem;
  font-weight: 600; text-decoration: none;
}
li a:hover { background: var(--raised) }
li span { color: var(--quiet); font-weight: 400 }
pre, code { font: .875rem/1.5 ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace }
pre {
  margin: 0; padding: .75rem 1rem; background: var(--raised); border-radius: .5rem;
  white-space: pre-wrap; user-select: all;
}
@media (max-width: 26rem) { .actions > *, .actions button { width: 100% } }
"""
