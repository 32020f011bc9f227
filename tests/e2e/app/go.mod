module slipway.dev/tests/app

go 1.26
