/** The style of the API's page: no fonts or pictures from elsewhere, light and dark. */
export const DOCS_STYLE = `
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#dfe4ea;--paper:#fff;--tint:#f5f7f9;--link:#0b5cad}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b5;--line:#313a46;--paper:#12161c;--tint:#1a2028;--link:#7ab8ff}}
*{box-sizing:border-box}
body{margin:0;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
.page{display:grid;grid-template-columns:15rem minmax(0,1fr);max-width:78rem;margin:0 auto}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:2rem 1rem 2rem 1.5rem;border-right:1px solid var(--line);font-size:.9rem}
nav strong{display:block;font-size:1.05rem;margin-bottom:1rem}
nav a{display:block;padding:.15rem 0;color:var(--ink)}
nav .sub{padding-left:.75rem;color:var(--soft)}
main{padding:2rem 2rem 6rem}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
h1{font-size:1.8rem;margin:0 0 .25rem}h2{margin:3rem 0 .25rem;padding-top:1rem;border-top:1px solid var(--line)}
h3{margin:1.5rem 0 .25rem;font-size:1rem}
p{max-width:46rem}.soft{color:var(--soft)}
code{font:.88em/1.4 ui-monospace,Menlo,Consolas,monospace}
details{border:1px solid var(--line);border-radius:.5rem;margin:.6rem 0;background:var(--tint)}
summary{cursor:pointer;padding:.6rem .9rem;display:flex;gap:.75rem;align-items:baseline;flex-wrap:wrap}
summary .soft{margin-left:auto}
.body{scroll-margin-top:4rem;padding:.25rem .9rem 1rem;border-top:1px solid var(--line);background:var(--paper);border-radius:0 0 .5rem .5rem}
.method{font:700 .72rem ui-monospace,monospace;text-transform:uppercase;min-width:4rem;text-align:center;padding:.2rem .4rem;border-radius:.3rem;color:#fff;background:#3b6ea8}
.post{background:#2e7d4f}.patch{background:#9a6700}.delete{background:#b3392f}
table{border-collapse:collapse;width:100%;font-size:.9rem;margin:.25rem 0 .75rem}
th{text-align:left;font-weight:600;color:var(--soft)}th,td{padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td:last-child{overflow-wrap:anywhere}
@media(max-width:50rem){.page{grid-template-columns:minmax(0,1fr)}nav{position:static;height:auto;border:0;border-bottom:1px solid var(--line)}nav .sub{display:none}main{padding:1.25rem}table{display:block;overflow-x:auto}}
`;
