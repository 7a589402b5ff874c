"""A server that speaks the streaming APIs of model providers, and says what a script tells it to.

    async with ProviderServer([{"text": "Hello"}]) as server:
        environ = environment(server.url)

or as a process of its own, which prints its URL: `python -m tests.providers SCRIPT.json --log LOG`.

A script is a list of turns. A request is answered with the first turn that is left and whose `when`
occurs in it; with none it is answered with status 418. A turn, all of it optional:

    when        text that has to occur in the body of the request
    repeat      true: the turn is not used up
    thought     text, or a list of the pieces it comes in
    signature   of the thought; Gemini has it on the first part behind
    text        text, or a list of the pieces it comes in
    calls       [{"id", "name", "arguments": {…} or text as it is}]
    finish      stop, length, filtered, or a word as that provider has it
    usage       {"input", "output", "cached", "thought"}, or null for none
    model       what the model calls itself; else what was asked for
    status      of an error; with `headers` and `message`
    fault       what happens behind `after` pieces of text (1 if nothing is said):
                cut (the stream just ends), drop (the connection is reset), broken (a chunk that is
                not JSON), error (the error `status`, in the stream), silent (nothing more comes);
                with `after` 0, silent sends no first byte
    hold        a name: behind `after` pieces the server waits until `release(name)`, or
                `POST /release/NAME`

Each request is a line of JSON in the log: `turn` (the index in the script, null for none), `api`,
`path`, `headers`, `body`. Another line `{"left": turn}` says that the client went away first.
"""

from tests.providers.server import ProviderServer, environment

__all__ = ["ProviderServer", "environment"]
