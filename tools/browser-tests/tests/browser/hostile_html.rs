//! HTML samples that run scripts, send requests or navigate in an unprotected page.

/// One attack.
pub(crate) struct Sample {
    /// Part of the subject and of the requested path.
    pub(crate) name: &'static str,
    /// `{url}` is the URL to request; `{run}` is a script that requests it and sets `marked` in the top window.
    html: &'static str,
    /// Whether it works in current Chromium without a click. The others work in older browsers or need a click.
    pub(crate) is_effective: bool,
}

const fn effective(name: &'static str, html: &'static str) -> Sample {
    Sample { name, html, is_effective: true }
}

const fn ineffective(name: &'static str, html: &'static str) -> Sample {
    Sample { name, html, is_effective: false }
}

impl Sample {
    /// The HTML that requests this URL.
    pub(crate) fn html(&self, url: &str) -> String {
        let run =
            format!("try{{top.marked=1;top.document.title=1}}catch(e){{}};new Image().src=`{url}`;void 0");
        self.html.replace("{run}", &run).replace("{url}", url)
    }
}

pub(crate) const SAMPLES: &[Sample] = &[
    // Script.
    effective("script", "<script>{run}</script>"),
    effective("script-src", "<script src='{url}'></script>"),
    effective("script-module", "<script type=module src='{url}'></script>"),
    effective("script-case", "<ScRiPt\n>{run}</sCrIpT\n>"),
    effective(
        "script-in-noscript",
        "<noscript><p title='</noscript><img src=x onerror=\"{run}\">'></noscript>",
    ),
    effective("script-in-comment", "<!--><img src=x onerror=\"{run}\">-->"),
    effective("script-in-title", "<title><a title='</title><img src=x onerror=\"{run}\">'></title>"),
    effective(
        "script-in-textarea",
        "<textarea><a title='</textarea><img src=x onerror=\"{run}\">'></textarea>",
    ),
    effective("script-in-xmp", "<xmp><a title='</xmp><img src=x onerror=\"{run}\">'></xmp>"),
    effective("script-after-broken-svg", "<svg></p><style><a id='</style><img src=x onerror=\"{run}\">'>"),
    effective("script-import", "<script type=module>import '{url}'</script>"),
    ineffective(
        "script-speculation",
        "<script type=speculationrules>{\"prefetch\":[{\"source\":\"list\",\"urls\":[\"{url}\"]}]}</script>",
    ),
    ineffective("script-in-template", "<template><script>{run}</script></template>"),
    // Event handlers.
    effective("onerror", "<img src='data:image/png,x' onerror=\"{run}\">"),
    effective("onload", "<body onload=\"{run}\"><p>x</p></body>"),
    effective("onfocus", "<input autofocus onfocus=\"{run}\">"),
    effective("ontoggle", "<details open ontoggle=\"{run}\"><summary>x</summary></details>"),
    effective(
        "onanimationstart",
        "<style>@keyframes x{}</style><p style='animation:x 1s' onanimationstart=\"{run}\">x</p>",
    ),
    effective("onerror-of-input", "<input type=image src='data:image/png,x' onerror=\"{run}\">"),
    effective("onerror-of-source", "<video><source src='data:video/mp4,x' onerror=\"{run}\"></video>"),
    effective("onload-of-link", "<link rel=stylesheet href='data:text/css,' onload=\"{run}\">"),
    effective("onload-of-frame", "<iframe onload=\"{run}\"></iframe>"),
    effective("onpageshow", "<body onpageshow=\"{run}\"><p>x</p></body>"),
    ineffective("onstart", "<marquee onstart=\"{run}\">x</marquee>"),
    ineffective(
        "onbeforetoggle",
        "<button popovertarget=p>press here</button><div popover id=p onbeforetoggle=\"{run}\">x</div>",
    ),
    effective("onerror-no-space", "<img/src='data:image/png,x'/onerror=\"{run}\">"),
    ineffective("onclick", "<p onclick=\"{run}\">press here</p>"),
    ineffective("onmouseover", "<p onmouseover=\"{run}\">press here</p>"),
    // SVG and MathML.
    effective("svg-onload", "<svg onload=\"{run}\"></svg>"),
    effective("svg-script", "<svg><script>{run}</script></svg>"),
    effective("svg-image", "<svg><image href='{url}'/></svg>"),
    effective("svg-use", "<svg><use href='{url}#x'/></svg>"),
    effective("svg-animate", "<svg><animate onbegin=\"{run}\" attributeName=x dur=1s></svg>"),
    effective("svg-set", "<svg><set onbegin=\"{run}\" attributeName=x dur=1s></svg>"),
    effective("svg-style", "<svg><style>@import '{url}';</style></svg>"),
    effective(
        "svg-filter",
        "<svg><filter id=x><feImage href='{url}'/></filter><rect width=9 height=9 filter='url(#x)'/></svg>",
    ),
    effective("svg-foreign", "<svg><foreignObject><iframe src='{url}'></iframe></foreignObject></svg>"),
    ineffective("svg-link", "<svg><a href=\"javascript:{run}\"><text x=20 y=20>press here</text></a></svg>"),
    ineffective(
        "svg-link-old",
        "<svg><a xlink:href=\"javascript:{run}\"><text x=20 y=20>press here</text></a></svg>",
    ),
    ineffective("math-link", "<math><mtext href=\"javascript:{run}\">press here</mtext></math>"),
    effective(
        "math-mutation",
        "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=\"{run}\"&gt;'>\
         </table></mtext></math><img src='{url}'>",
    ),
    // Styles.
    ineffective("style-expression", "<p style=\"width:expression({run})\">x</p>"),
    ineffective("style-behaviour", "<p style=\"behavior:url({url})\">x</p>"),
    ineffective("style-binding", "<p style=\"-moz-binding:url({url})\">x</p>"),
    effective("style-background", "<p style=\"background:url({url})\">x</p>"),
    effective("style-upper-case", "<P STYLE=\"BACKGROUND:URL({url})\">x</P>"),
    effective("style-mask", "<p style=\"-webkit-mask-image:url({url});mask-image:url({url})\">x</p>"),
    effective("style-filter", "<p style=\"filter:url({url}#x)\">x</p>"),
    effective("style-shape", "<p style=\"float:left;shape-outside:url({url})\">x</p>"),
    effective(
        "style-cross-fade",
        "<p style=\"background:-webkit-cross-fade(url({url}),url({url}),50%)\">x</p>",
    ),
    effective("style-own-variable", "<p style=\"--x:url({url});background:var(--x)\">x</p>"),
    ineffective("style-clip", "<p style=\"clip-path:url({url}#x)\">x</p>"),
    effective("style-element", "<style>p{background:url({url})}</style><p>x</p>"),
    effective("style-import", "<style>@import '{url}';</style>"),
    effective("style-import-url", "<style>@import url({url});</style>"),
    effective(
        "style-font",
        "<style>@font-face{font-family:x;src:url({url})}p{font-family:x}</style><p>x</p>",
    ),
    effective("style-list", "<ul style=\"list-style-image:url({url})\"><li>x</ul>"),
    effective("style-content", "<style>p::before{content:url({url})}</style><p>x</p>"),
    effective("style-escaped", "<p style=\"background:u\\72 l({url})\">x</p>"),
    effective("style-image-set", "<p style=\"background:image-set('{url}' 1x)\">x</p>"),
    effective("style-border-image", "<p style=\"border:9px solid;border-image:url({url}) 9\">x</p>"),
    effective("style-variable", "<style>:root{--x:url({url})}p{background:var(--x)}</style><p>x</p>"),
    effective("style-cursor", "<p style=\"cursor:url({url}),auto\">x</p>"),
    // Style sheets.
    effective("sheet-import-layer", "<style>@import '{url}' layer(x);</style>"),
    effective("sheet-import-media", "<style>@import '{url}' screen;</style>"),
    effective("sheet-import-second", "<style>p{margin:0}</style><style>@import '{url}';</style>"),
    effective("sheet-with-media", "<style media=screen>p{background:url({url})}</style><p>x</p>"),
    effective("sheet-media", "<style>@media screen{p{background:url({url})}}</style><p>x</p>"),
    effective("sheet-supports", "<style>@supports(color:red){p{background:url({url})}}</style><p>x</p>"),
    effective("sheet-layer", "<style>@layer x{p{background:url({url})}}</style><p>x</p>"),
    effective("sheet-nested", "<style>body{& p{background:url({url})}}</style><p>x</p>"),
    effective(
        "sheet-keyframes",
        "<style>@keyframes x{to{background:url({url})}}p{animation:x 1s}</style><p>x</p>",
    ),
    effective("sheet-escaped", "<style>p{background:\\75 rl({url})}</style><p>x</p>"),
    effective("sheet-image-set", "<style>p{background:image-set('{url}' 1x)}</style><p>x</p>"),
    effective("sheet-has", "<style>body:has(p){background:url({url})}</style><p>x</p>"),
    effective(
        "sheet-has-exfiltration",
        "<style>body:has(input[value^=s]){--x:url({url});background:var(--x)}</style><input value=secret>",
    ),
    effective(
        "sheet-attribute-exfiltration",
        "<style>a[href*=token]{background:url({url})}</style><a href='https://x.localhost/?token=1'>x</a>",
    ),
    effective(
        "sheet-position",
        "<style>p{position:fixed;inset:-999px;z-index:2147483647;background:url({url})}</style><p>x</p>",
    ),
    effective("sheet-content", "<style>p::after{content:url({url})}</style><p>x</p>"),
    effective(
        "sheet-font-range",
        "<style>@font-face{font-family:x;src:url({url});unicode-range:U+78}p{font-family:x}</style><p>x</p>",
    ),
    ineffective(
        "sheet-end",
        "<style>p::before{content:'\\3c/style>\\3cimg src={url} onerror=\"{run}\">'}</style><p>x</p>",
    ),
    ineffective("sheet-page", "<style>@page{background:url({url})}</style><p>x</p>"),
    ineffective(
        "sheet-property",
        "<style>@property --x{syntax:'<url>';inherits:true;initial-value:url({url})}</style><p>x</p>",
    ),
    // Links in the head.
    effective("meta-refresh", "<meta http-equiv=refresh content='0;url={url}'>"),
    effective("base", "<base href='{url}/'><img src=under-base>"),
    effective("link-stylesheet", "<link rel=stylesheet href='{url}'>"),
    effective("link-preload", "<link rel=preload as=image href='{url}'>"),
    effective("link-preload-set", "<link rel=preload as=image imagesrcset='{url} 1x'>"),
    effective("link-modulepreload", "<link rel=modulepreload href='{url}'>"),
    effective("link-icon", "<link rel=icon href='{url}'>"),
    effective("link-prefetch", "<link rel=prefetch href='{url}'>"),
    effective("link-manifest", "<link rel=manifest href='{url}'>"),
    // Elements that load resources.
    effective("img", "<img src='{url}'>"),
    effective("image", "<image src='{url}'>"),
    effective(
        "img-clobbering",
        "<img name=body><img name=documentElement src='{url}'><form name=parentNode></form>",
    ),
    effective("img-srcset", "<img srcset='{url} 1x'>"),
    effective("img-lowsrc", "<img src='{url}' lowsrc='{url}'>"),
    effective("picture", "<picture><source srcset='{url}'><img></picture>"),
    effective("input-image", "<input type=image src='{url}'>"),
    effective("video", "<video src='{url}' preload=auto></video>"),
    effective("video-poster", "<video poster='{url}'></video>"),
    effective("audio", "<audio src='{url}' preload=auto></audio>"),
    effective("source", "<audio preload=auto><source src='{url}'></audio>"),
    effective("track", "<video src='data:video/mp4,x'><track default src='{url}'></video><img src='{url}'>"),
    effective("body-background", "<body background='{url}'>x</body>"),
    effective("table-background", "<table background='{url}'><tr><td>x</table>"),
    effective("cell-background", "<table><tr><td background='{url}'>x</table>"),
    // Frames and plugins.
    effective("iframe", "<iframe src='{url}'></iframe>"),
    effective("iframe-srcdoc", "<iframe srcdoc=\"<img src='{url}'>\"></iframe>"),
    effective(
        "iframe-srcdoc-script",
        "<iframe srcdoc=\"<script>new Image().src='{url}'</script>\"></iframe>",
    ),
    effective("iframe-data", "<iframe src=\"data:text/html,<img src='{url}'>\"></iframe>"),
    effective("iframe-script", "<iframe src=\"javascript:{run}\"></iframe>"),
    effective("frameset", "<frameset><frame src='{url}'></frameset>"),
    ineffective("object-data", "<object data=\"data:text/html,<img src='{url}'>\"></object>"),
    effective("object", "<object data='{url}'></object>"),
    effective("embed", "<embed src='{url}'>"),
    ineffective("applet", "<applet code='{url}' archive='{url}'></applet>"),
    // Forms.
    effective("form", "<form action='{url}' id=f><input name=a></form><svg onload='f.submit()'></svg>"),
    ineffective("form-button", "<form action='{url}'><button>press here</button></form>"),
    ineffective("form-action", "<form id=g></form><button form=g formaction='{url}'>press here</button>"),
    ineffective("form-script", "<form action=\"javascript:{run}\"><button>press here</button></form>"),
    // URL schemes.
    ineffective("link-script", "<a href=\"javascript:{run}\">press here</a>"),
    ineffective("link-script-case", "<a href=\" jAvA&#x09;script:{run}\">press here</a>"),
    ineffective("link-vbscript", "<a href=\"vbscript:{run}\">press here</a>"),
    ineffective("link-data", "<a href=\"data:text/html,<script>{run}</script>\">press here</a>"),
    ineffective("link-ping", "<a href='#' ping='{url}'>press here</a>"),
    ineffective("img-script", "<img src=\"javascript:{run}\">"),
    ineffective(
        "img-data-svg",
        "<img src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='{run}'/>\">",
    ),
    ineffective(
        "map",
        "<img usemap='#m' src='data:,' width=99 height=99><map name=m><area shape=default href='javascript:{run}'></map>",
    ),
];

/// HTML that causes a DNS lookup. `{name}` is a name below `localhost`, which is resolved locally (RFC 6761 section 6.3).
pub(crate) const DNS_LOOKUPS: &[&str] = &[
    "<link rel=dns-prefetch href='//{name}'>",
    "<link rel=preconnect href='http://{name}'>",
    "<img src='http://{name}/'>",
    "<video poster='http://{name}/'></video>",
    "<p style='background:url(http://{name}/)'>x</p>",
    "<style>@import '//{name}/';</style><p>x</p>",
    "<style>p{background:url(//{name}/)}</style><p>x</p>",
    "<style>@font-face{font-family:x;src:url(//{name}/)}p{font-family:x}</style><p>x</p>",
    "<meta http-equiv=x-dns-prefetch-control content=on><a href='http://{name}/'>a link</a>",
];
