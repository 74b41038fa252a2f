package pickle

func (m *Machine) pushObject(k Kind, items []Value) error {
	v, err := m.make(k, items)
	if err != nil {
		return err
	}
	return m.push(v)
}

func (m *Machine) emptyList() error  { return m.pushObject(List, nil) }
func (m *Machine) emptyTuple() error { return m.pushObject(Tuple, nil) }
func (m *Machine) emptyDict() error  { return m.pushObject(Dict, nil) }
func (m *Machine) emptySet() error   { return m.pushObject(Set, nil) }

func (m *Machine) fromMark(k Kind) error {
	items, err := m.takeMark()
	if err != nil {
		return err
	}
	return m.pushObject(k, items)
}

func (m *Machine) list() error      { return m.fromMark(List) }
func (m *Machine) tuple() error     { return m.fromMark(Tuple) }
func (m *Machine) dict() error      { return m.fromMark(Dict) }
func (m *Machine) frozenSet() error { return m.fromMark(FrozenSet) }

// tupleOf is TUPLE1, TUPLE2 and TUPLE3.
func (m *Machine) tupleOf() error {
	n := int(m.op.code) - 0x84
	if err := m.has(n); err != nil {
		return err
	}
	at := len(m.stack) - n
	v, err := m.make(Tuple, m.stack[at:])
	if err != nil {
		return err
	}
	m.stack = m.stack[:at]
	return m.push(v)
}

func (m *Machine) appendOne() error {
	if err := m.has(2); err != nil {
		return err
	}
	item := [1]Value{m.take()}
	return m.into(m.top(), item[:], List)
}

func (m *Machine) setItem() error {
	if err := m.has(3); err != nil {
		return err
	}
	value, key := m.take(), m.take()
	pair := [2]Value{key, value}
	return m.into(m.top(), pair[:], Dict)
}

// fromMarkInto is APPENDS, SETITEMS and ADDITEMS.
func (m *Machine) fromMarkInto(kinds ...Kind) error {
	items, err := m.takeMark()
	if err != nil {
		return err
	}
	if err := m.has(1); err != nil {
		return err
	}
	return m.into(m.top(), items, kinds...)
}

func (m *Machine) appendMany() error { return m.fromMarkInto(List) }
func (m *Machine) setItems() error   { return m.fromMarkInto(Dict) }
func (m *Machine) addItems() error   { return m.fromMarkInto(Set) }

// call tells that callee is called and pushes what comes of it.
func (m *Machine) call(callee, args, keywords Value) error {
	result, err := m.make(Instance, []Value{callee, args})
	if err != nil {
		return err
	}
	if err := m.tell(Event{Kind: Call, Callee: callee, Args: args, State: keywords, Result: result}); err != nil {
		return err
	}
	return m.push(m.event.Result)
}

// reduce is REDUCE and NEWOBJ.
func (m *Machine) reduce() error {
	if err := m.has(2); err != nil {
		return err
	}
	args, callee := m.take(), m.take()
	return m.call(callee, args, Value{})
}

func (m *Machine) newObjEx() error {
	if err := m.has(3); err != nil {
		return err
	}
	keywords, args, callee := m.take(), m.take(), m.take()
	return m.call(callee, args, keywords)
}

func (m *Machine) obj() error {
	items, err := m.takeMark()
	if err != nil {
		return err
	}
	if len(items) == 0 {
		return m.fail(ErrMalformed, "OBJ without a class")
	}
	args, err := m.make(Tuple, items[1:])
	if err != nil {
		return err
	}
	return m.call(items[0], args, Value{})
}

func (m *Machine) inst() error {
	items, err := m.takeMark()
	if err != nil {
		return err
	}
	args, err := m.make(Tuple, items)
	if err != nil {
		return err
	}
	class, err := m.twoLines()
	if err != nil {
		return err
	}
	return m.call(class, args, Value{})
}

func (m *Machine) build() error {
	if err := m.has(2); err != nil {
		return err
	}
	state := m.take()
	target := m.top()
	if target.isObject() && target.kind != Tuple {
		if err := m.grow(m.objects.at(int(target.x)), []Value{state}); err != nil {
			return err
		}
	}
	return m.tell(Event{Kind: Build, Target: target, State: state})
}

func (m *Machine) extension() error {
	if err := m.tell(Event{Kind: Extension, Number: m.op.num}); err != nil {
		return err
	}
	return m.push(Value{})
}

func (m *Machine) persIDLine() error {
	return m.persistent(constant(Str, plain, m.op.off, m.op.len))
}

func (m *Machine) persID() error {
	if err := m.has(1); err != nil {
		return err
	}
	return m.persistent(m.take())
}

func (m *Machine) persistent(id Value) error {
	v, err := m.make(Persistent, []Value{id})
	if err != nil {
		return err
	}
	if err := m.tell(Event{Kind: PersistentID, Args: id, Result: v}); err != nil {
		return err
	}
	return m.push(m.event.Result)
}

func (m *Machine) nextBuffer() error {
	if err := m.trouble(OutOfBand); err != nil {
		return err
	}
	return m.push(Value{kind: Buffer})
}

func (m *Machine) readonlyBuffer() error {
	if err := m.has(1); err != nil {
		return err
	}
	return m.trouble(OutOfBand)
}
