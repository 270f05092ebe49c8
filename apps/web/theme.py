"""How the page looks: fonts of the reader's own system, so that nothing is fetched from elsewhere."""

from __future__ import annotations

import gradio as gr

_SANS = ("system-ui", "-apple-system", "Segoe UI", "Noto Sans", "DejaVu Sans", "sans-serif")
_MONO = ("ui-monospace", "DejaVu Sans Mono", "monospace")

CSS = """
.gradio-container { max-width: 1500px !important; }
.fv-headline { font-size: 1.05rem; margin: 0 0 .4rem; }
.fv-progress progress { width: 100%; height: .9rem; accent-color: #1d4ed8; }
.fv-problem { border-left: 4px solid #b42318; padding: .3rem .8rem; margin: .5rem 0; }
.fv-verdict { border-left: 4px solid #1a7f37; padding: .3rem .8rem; }
.fv-verdict.fv-warnings { border-color: #9a6700; }
.fv-verdict.fv-failed { border-color: #b42318; }
.fv-scroll { overflow-x: auto; }
.fv-table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: .5rem 0; }
.fv-table th, .fv-table td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #8884; }
.fv-plan { max-width: 100%; height: auto; background: white; }
.fv-frame { width: 100%; height: 80vh; border: 1px solid #8886; background: white; }
:focus-visible { outline: 3px solid #1d4ed8 !important; outline-offset: 2px; }
"""


def theme() -> gr.themes.Base:
    """A plain theme with dark text on light ground."""
    return gr.themes.Default(primary_hue="blue", neutral_hue="slate", font=list(_SANS), font_mono=list(_MONO)).set(
        button_primary_background_fill="#1d4ed8",
        button_primary_background_fill_hover="#1e40af",
        button_primary_text_color="white",
    )
