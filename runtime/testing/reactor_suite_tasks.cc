// ReactorSuite, the other half: through coroutines on an EventLoop.
