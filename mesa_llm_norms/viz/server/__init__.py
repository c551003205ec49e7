"""The server of the page: Solara's own, with every door shut that the page does not need.

What Solara 1.64 and ipyvue 1 leave open, and what is done about it:

- *Any website can reach a server on this computer.* ``Guard`` answers under known names only (so
  that a foreign name cannot be pointed at this computer), takes websockets from its own pages only,
  and serves nothing without a token: a new one every start, in the printed link, then in a cookie.
- *A page's websocket can have ipyvue import any module and call anything in it*, by design
  (``create_widget``, ``update_ref``). ``messages`` lets none of that in, twice: at the websocket,
  whatever the widget, and in ipyvue's two handlers, where events that a widget has not are dropped
  too.
- *A page's websocket can make widgets of any registered class* (``comm_open`` of a widget) *and end
  kernels in untested ways* (messages Solara does not know). Only the messages the page needs pass.
  Solara's kernel runs no code on ``execute_request``; it gets none to see.
- *The states that one viewer asks for may go to another*, since ipywidgets keeps one control
  channel per process. Each viewer has one of their own here.
- *A request can set the server's own address* for everybody (``X-Forwarded-...``,
  ``X-Script-Name``). Such headers are dropped.
- *Settings of Solara in the environment*, a log-in, kept state, development mode and telemetry, do
  not apply: ``serve`` sets what it relies on.

What remains: whoever has the link can use the page, as often as they like and with the live minds
it was started with, and through it can take up memory and processor. They can also give any widget
any value that JSON has, not only those its list offers: what comes from a widget is to be read like
what comes from a link. Other users of this computer may see the link in the list of processes when
a browser is started with it. Browsers send the cookie to other programs that serve on this
computer. Traffic is not encrypted. Behind the token Solara serves what Jupyter extensions are
installed, numbers on its own load (``/resourcez``), and assets by name: from disk or, unless
``--offline`` is given, fetched from one public address.
"""
