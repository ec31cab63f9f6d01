// Coroutines of a node: lazy Task<T>, `co_await ok(result)`, when_all (engineering.md 2.3).
#pragma once
