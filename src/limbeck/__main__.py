"""`python -m limbeck`, and so `accelerate launch -m limbeck`."""

from limbeck.cli.app import main

if __name__ == "__main__":
    main()
